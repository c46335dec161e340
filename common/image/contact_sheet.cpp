#include "common/image/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/image/resize.h"

namespace luna {
namespace {

constexpr std::int64_t kMaxEdge = 32768;

Image fitted(const Image& picture, int cell) {
  Image rgb = to_rgb(picture);
  const int longest = std::max(rgb.width, rgb.height);
  if (longest <= cell) return rgb;
  const auto reduced = [&](int edge) {
    const auto pixels = static_cast<std::int64_t>(edge) * cell / longest;
    return static_cast<int>(std::max<std::int64_t>(1, pixels));
  };
  return resize(rgb, reduced(rgb.width), reduced(rgb.height), ResizeFilter::kArea);
}

void place(const Image& picture, int x, int y, Image& sheet) {
  for (int line = 0; line < picture.height; ++line) {
    std::ranges::copy(picture.row(line), sheet.row(y + line).begin() + std::ptrdiff_t{3} * x);
  }
}

}  // namespace

Result<Image> contact_sheet(std::span<const Image> pictures, const SheetLayout& layout) {
  if (pictures.empty()) {
    return error(StatusCode::kInvalidArgument, "a sheet needs at least one picture");
  }
  if (layout.columns < 0 || layout.cell < 0 || layout.margin < 0) {
    return error(StatusCode::kInvalidArgument,
                 "columns, cell and margin of a sheet must not be negative, found {}, {} and {}",
                 layout.columns, layout.cell, layout.margin);
  }
  const auto count = static_cast<std::int64_t>(pictures.size());
  int cell = layout.cell;
  for (const Image& picture : pictures) {
    LUNA_RETURN_IF_ERROR(picture.validate());
    if (layout.cell == 0) cell = std::max({cell, picture.width, picture.height});
  }
  const std::int64_t columns =
      layout.columns > 0
          ? std::min<std::int64_t>(layout.columns, count)
          : static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  const std::int64_t rows = (count + columns - 1) / columns;
  const std::int64_t pitch = std::int64_t{cell} + layout.margin;
  const std::int64_t width = columns * pitch + layout.margin, height = rows * pitch + layout.margin;
  if (width > kMaxEdge || height > kMaxEdge) {
    return error(StatusCode::kInvalidArgument,
                 "the sheet would have {} x {} pixels, and {} each way is the most; choose a "
                 "smaller cell",
                 width, height, kMaxEdge);
  }
  Image sheet(static_cast<int>(width), static_cast<int>(height), 3);
  std::ranges::fill(sheet.pixels, std::uint8_t{255});
  for (std::int64_t i = 0; i < count; ++i) {
    const Image picture = fitted(pictures[static_cast<std::size_t>(i)], cell);
    const std::int64_t x = layout.margin + i % columns * pitch + (cell - picture.width) / 2;
    const std::int64_t y = layout.margin + i / columns * pitch + (cell - picture.height) / 2;
    place(picture, static_cast<int>(x), static_cast<int>(y), sheet);
  }
  return sheet;
}

}  // namespace luna
