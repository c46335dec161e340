#include "daemon/worker/engine/entry_region.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "daemon/worker/engine/request_tensors.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kSmallestBounds = 8;  // of a mask's bounding box
constexpr std::int64_t kSoftEdge = 8;
constexpr std::int64_t kMostMasks = 4096;
constexpr std::int64_t kMostMaskValues = std::int64_t{1} << 28;  // of one entry: 1 GiB

bool whole(double value) { return value == std::floor(value); }

/// Rounds halves to even, as Python does.
std::int64_t cells(double share, std::int64_t extent) {
  return std::llrint(share * static_cast<double>(extent));
}

Result<LatentArea> asked_area(const ConditioningArea& asked, std::string_view what,
                              std::int64_t height, std::int64_t width) {
  const double most = asked.fractional ? 1 : static_cast<double>(kMaxLatentExtent);
  bool fits = true;
  for (const double value : {asked.height, asked.width, asked.y, asked.x})
    fits = fits && value >= 0 && value <= most && (asked.fractional || whole(value));
  LatentArea area;
  if (fits && asked.fractional) {
    area = {std::max<std::int64_t>(1, cells(asked.height, height)),
            std::max<std::int64_t>(1, cells(asked.width, width)), cells(asked.y, height),
            cells(asked.x, width)};
  } else if (fits) {
    area = {static_cast<std::int64_t>(asked.height), static_cast<std::int64_t>(asked.width),
            static_cast<std::int64_t>(asked.y), static_cast<std::int64_t>(asked.x)};
  }
  if (!fits || area.height < 1 || area.width < 1 || area.y >= height || area.x >= width) {
    return error(StatusCode::kInvalidArgument,
                 "{}.area: expected {} that begin inside a latent of {} x {}, found {} x {} at y "
                 "{}, x {}",
                 what, asked.fractional ? "fractions in 0..1" : "whole cells, 1 or more each way,",
                 height, width, asked.height, asked.width, asked.y, asked.x);
  }
  return area;
}

/// The entry's masks at the latent's size, [n, h, w].
Result<at::Tensor> resized_masks(const TensorRef& tensor, std::string_view what,
                                 std::int64_t height, std::int64_t width) {
  const auto& shape = tensor.spec.shape;
  const std::string name = std::string(what) + ".mask";
  const bool fits =
      (shape.size() == 2 || shape.size() == 3) && tensor.spec.numel() > 0 &&
      tensor.spec.numel() <= kMostMaskValues && (shape.size() == 2 || shape[0] <= kMostMasks) &&
      shape[shape.size() - 2] <= kMaxMaskExtent && shape[shape.size() - 1] <= kMaxMaskExtent;
  if (!fits) {
    return error(StatusCode::kInvalidArgument,
                 "{}: expected [H, W] or [n, H, W] with H and W in 1..{}, found {}", name,
                 kMaxMaskExtent, tensor.spec.to_string());
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor masks, finite_floats(tensor, name));
  return torch_call(name, [&] {
    const at::Tensor planes = masks.reshape({-1, 1, masks.size(-2), masks.size(-1)});
    if (planes.size(2) == height && planes.size(3) == width) return planes.squeeze(1);
    return at::upsample_bilinear2d(planes, {height, width}, /*align_corners=*/false).squeeze(1);
  });
}

/// The smallest rectangle around what any of the masks does not leave at 0, 8 cells or more each
/// way; without any such, 8 x 8 in the corner.
LatentArea bounds_of(const at::Tensor& masks) {
  const at::Tensor places = masks.abs().amax(0).nonzero();
  if (places.size(0) == 0) return {kSmallestBounds, kSmallestBounds, 0, 0};
  const at::Tensor first = std::get<0>(places.min(0));
  const at::Tensor last = std::get<0>(places.max(0));
  const auto y = first[0].item<std::int64_t>(), x = first[1].item<std::int64_t>();
  return {std::max(kSmallestBounds, last[0].item<std::int64_t>() - y + 1),
          std::max(kSmallestBounds, last[1].item<std::int64_t>() - x + 1), y, x};
}

/// Ramps the weight up over a few cells at the edges of the area that are none of the latent.
void soften_edges(at::Tensor& weight, const LatentArea& crop, std::int64_t height,
                  std::int64_t width) {
  const auto ramp = [&](std::int64_t dim, std::int64_t extent, bool at_start, bool at_end) {
    const std::int64_t cells = std::min(kSoftEdge, extent / 4);
    for (std::int64_t k = 0; k < cells; ++k) {
      const double share = 1.0 / static_cast<double>(cells) * static_cast<double>(k + 1);
      if (at_start) weight.narrow(dim, k, 1).mul_(share);
      if (at_end) weight.narrow(dim, extent - 1 - k, 1).mul_(share);
    }
  };
  ramp(2, crop.height, crop.y != 0, crop.y + crop.height < height);
  ramp(3, crop.width, crop.x != 0, crop.x + crop.width < width);
}

}  // namespace

bool LatentArea::contains(const LatentArea& other) const {
  return other.y >= y && other.x >= x && other.y + other.height <= y + height &&
         other.x + other.width <= x + width;
}

at::Tensor EntryRegion::of(const at::Tensor& planes) const {
  if (!crop) return planes;
  return planes.narrow(2, crop->y, crop->height).narrow(3, crop->x, crop->width);
}

Result<EntryRegion> entry_region(const ConditioningEntry& entry, std::string_view what,
                                 std::int64_t height, std::int64_t width,
                                 std::uint32_t batch_index) {
  EntryRegion region;
  if (!std::isfinite(entry.mask_strength)) {
    return error(StatusCode::kInvalidArgument,
                 "{}.mask_strength: expected a finite number, found {}", what, entry.mask_strength);
  }
  if (entry.area) {
    LUNA_ASSIGN_OR_RETURN(region.area, asked_area(*entry.area, what, height, width));
  }
  at::Tensor masks;
  if (entry.mask) {
    LUNA_ASSIGN_OR_RETURN(masks, resized_masks(*entry.mask, what, height, width));
    if (entry.set_area_to_bounds) {
      LUNA_ASSIGN_OR_RETURN(region.area, torch_call(what, [&] { return bounds_of(masks); }));
    }
  }
  if (region.area && entry.is_default) {
    return error(StatusCode::kInvalidArgument,
                 "{}: a default entry fills what the others leave and takes no area of its own",
                 what);
  }
  if (region.area) {
    region.crop = region.area;
    region.crop->height = std::min(region.area->height, height - region.area->y);
    region.crop->width = std::min(region.area->width, width - region.area->x);
  }
  if (!region.crop && !masks.defined()) return region;
  LUNA_RETURN_IF_ERROR(torch_call(what, [&] {
    if (masks.defined()) {
      const auto own = static_cast<std::int64_t>(batch_index) % masks.size(0);
      region.weight =
          region.of(masks.narrow(0, own, 1).unsqueeze(1)) * entry.mask_strength * entry.strength;
    } else {
      region.weight = at::full({1, 1, region.crop->height, region.crop->width}, entry.strength,
                               at::TensorOptions(at::kFloat));
      soften_edges(region.weight, *region.crop, height, width);
    }
  }));
  return region;
}

}  // namespace luna::worker
