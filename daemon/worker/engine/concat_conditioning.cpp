#include "daemon/worker/engine/concat_conditioning.h"

#include <cmath>
#include <string>

#include "daemon/worker/engine/sample_plan.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr const char* kImage = "concat_latent_image";
constexpr const char* kMask = "concat_mask";

/// The middle of [1, c, H, W], in the proportions of height x width, resized to that (bilinear).
/// Reference: comfy/utils.py: common_upscale.
at::Tensor fitted(const at::Tensor& planes, std::int64_t height, std::int64_t width) {
  const auto had_height = static_cast<double>(planes.size(2));
  const auto had_width = static_cast<double>(planes.size(3));
  if (planes.size(2) == height && planes.size(3) == width) return planes;
  const double had = had_width / had_height;
  const double wanted = static_cast<double>(width) / static_cast<double>(height);
  std::int64_t x = 0, y = 0;
  if (had > wanted) {
    x = static_cast<std::int64_t>(std::nearbyint((had_width - had_width * (wanted / had)) / 2));
  } else if (had < wanted) {
    y = static_cast<std::int64_t>(std::nearbyint((had_height - had_height * (had / wanted)) / 2));
  }
  const at::Tensor middle =
      planes.narrow(2, y, planes.size(2) - 2 * y).narrow(3, x, planes.size(3) - 2 * x);
  return at::upsample_bilinear2d(middle, {height, width}, /*align_corners=*/false);
}

bool is_extent(std::int64_t extent, std::int64_t most) { return extent >= 1 && extent <= most; }

/// The entry's own picture in the model's scale, undefined without one.
Result<at::Tensor> masked_image(const ConditioningEntry& entry, std::string_view what,
                                const DenoiserTraits& traits, const EntryPlace& place) {
  const auto found = entry.extras.find(kImage);
  if (found == entry.extras.end()) return at::Tensor();
  const std::string name = fmt::format("{}.extras.{}", what, kImage);
  const auto& shape = found->second.spec.shape;
  const bool one = shape.size() == 4 && shape[0] == 1;
  const bool fits = (shape.size() == 3 || one) &&
                    shape[shape.size() - 3] == traits.latent_channels &&
                    is_extent(shape[shape.size() - 2], kMaxLatentExtent) &&
                    is_extent(shape[shape.size() - 1], kMaxLatentExtent);
  if (!fits) {
    return error(
        StatusCode::kInvalidArgument,
        "{}: expected a latent [{}, h, w] or [1, {}, h, w] with h and w in 1..{}, found {}", name,
        traits.latent_channels, traits.latent_channels, kMaxLatentExtent,
        found->second.spec.to_string());
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor latent, finite_floats(found->second, name));
  return torch_call(name, [&] {
    const at::Tensor scaled = scaled_to_model(one ? latent : latent.unsqueeze(0), traits);
    return fitted(scaled, place.height, place.width);
  });
}

/// The entry's own mask [1, 1, h, w], or the row's; undefined without both.
Result<at::Tensor> concat_mask(const ConditioningEntry& entry, std::string_view what,
                               const EntryPlace& place) {
  const auto found = entry.extras.find(kMask);
  if (found == entry.extras.end()) {
    if (!place.noise_mask.defined()) return at::Tensor();
    return torch_call(what, [&] { return place.noise_mask.narrow(1, 0, 1).round(); });
  }
  const std::string name = fmt::format("{}.extras.{}", what, kMask);
  const auto& shape = found->second.spec.shape;
  bool fits = shape.size() >= 2 && shape.size() <= 4;
  for (std::size_t i = 0; fits && i < shape.size(); ++i)
    fits = i + 2 < shape.size() ? shape[i] == 1 : is_extent(shape[i], kMaxMaskExtent);
  if (!fits) {
    return error(StatusCode::kInvalidArgument,
                 "{}: expected a mask [H, W], [1, H, W] or [1, 1, H, W] with H and W in 1..{}, "
                 "found {}",
                 name, kMaxMaskExtent, found->second.spec.to_string());
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor mask, finite_floats(found->second, name));
  return torch_call(name, [&] {
    const at::Tensor plane = mask.reshape({1, 1, mask.size(-2), mask.size(-1)});
    return fitted(plane, place.height, place.width).round();
  });
}

}  // namespace

Result<at::Tensor> concat_conditioning(const ConditioningEntry& entry, std::string_view what,
                                       const DenoiserTraits& traits, const EntryPlace& place) {
  LUNA_ASSIGN_OR_RETURN(at::Tensor image, masked_image(entry, what, traits, place));
  LUNA_ASSIGN_OR_RETURN(const at::Tensor mask, concat_mask(entry, what, place));
  if (mask.defined() && !image.defined()) image = place.latent;
  if (mask.defined() && !image.defined()) {
    return error(StatusCode::kInvalidArgument,
                 "{}.extras: one evaluation with {} needs {} too, found none", what, kMask, kImage);
  }
  return torch_call(what, [&] {
    if (mask.defined()) return at::cat({mask, image}, 1);
    const at::Tensor blank = at::tensor(traits.blank_latent).reshape({1, -1, 1, 1});
    return at::cat({at::ones({1, 1, place.height, place.width}),
                    blank.expand({1, -1, place.height, place.width})},
                   1);
  });
}

}  // namespace luna::worker
