#include "common/image/image.h"

#include <algorithm>

namespace luna {
namespace {

std::size_t bytes_of(int width, int height, int channels) {
  return static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
         static_cast<std::size_t>(channels);
}

}  // namespace

Image::Image(int w, int h, int c)
    : width(w), height(h), channels(c), pixels(bytes_of(w, h, c), std::uint8_t{0}) {}

std::span<const std::uint8_t> Image::row(int y) const {
  const std::size_t stride = bytes_of(width, 1, channels);
  return std::span(pixels).subspan(stride * static_cast<std::size_t>(y), stride);
}

std::span<std::uint8_t> Image::row(int y) {
  const std::size_t stride = bytes_of(width, 1, channels);
  return std::span(pixels).subspan(stride * static_cast<std::size_t>(y), stride);
}

Status Image::validate() const {
  if (width < 1 || height < 1) {
    return error(StatusCode::kInvalidArgument,
                 "a picture of {} x {} pixels; both must be at least 1", width, height);
  }
  if (channels != 1 && channels != 3 && channels != 4) {
    return error(StatusCode::kInvalidArgument,
                 "a picture of {} channels; expected 1 (grey), 3 (RGB) or 4 (RGBA)", channels);
  }
  if (pixels.size() != bytes_of(width, height, channels)) {
    return error(StatusCode::kInvalidArgument,
                 "a picture of {} x {} x {} needs {} bytes, it has {}", width, height, channels,
                 bytes_of(width, height, channels), pixels.size());
  }
  return {};
}

Image to_rgb(const Image& image) {
  if (image.channels == 3) return image;
  Image rgb(image.width, image.height, 3);
  const std::size_t count = bytes_of(image.width, image.height, 1);
  const auto step = static_cast<std::size_t>(image.channels);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      rgb.pixels[i * 3 + c] = image.pixels[i * step + (step == 1 ? 0 : c)];
    }
  }
  return rgb;
}

Image channel_of(const Image& image, int channel) {
  Image grey(image.width, image.height, 1);
  const auto step = static_cast<std::size_t>(image.channels);
  const std::size_t offset = step == 1 ? 0 : static_cast<std::size_t>(channel);
  for (std::size_t i = 0; i < grey.pixels.size(); ++i) {
    grey.pixels[i] = image.pixels[i * step + offset];
  }
  return grey;
}

Image crop(const Image& image, int x, int y, int width, int height) {
  if (x < 0 || y < 0 || width < 0 || height < 0 || x + width > image.width ||
      y + height > image.height) {
    die("crop: the rectangle leaves the picture");
  }
  Image part(width, height, image.channels);
  for (int line = 0; line < height; ++line) {
    const auto from = image.row(y + line).subspan(bytes_of(x, 1, image.channels));
    std::ranges::copy(from.first(bytes_of(width, 1, image.channels)), part.row(line).begin());
  }
  return part;
}

}  // namespace luna
