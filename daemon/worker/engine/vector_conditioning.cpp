#include "daemon/worker/engine/vector_conditioning.h"

#include <string>

#include "daemon/worker/ops/timestep_embedding.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {

Result<at::Tensor> vector_conditioning(const ConditioningEntry& entry, std::string_view what,
                                       const DenoiserTraits& traits, const EntryPlace& place) {
  const auto number = [&](const char* name, double otherwise) {
    const auto said = entry.numbers.find(name);
    return static_cast<float>(said == entry.numbers.end() ? otherwise : said->second);
  };
  const auto factor = static_cast<double>(traits.latent_factor);
  const float height = number("height", static_cast<double>(place.height) * factor);
  const float width = number("width", static_cast<double>(place.width) * factor);
  std::vector<float> sizes = {height, width, number("crop_h", 0), number("crop_w", 0)};
  if (traits.vector == VectorConditioning::kSdxl) {
    sizes.push_back(number("target_height", height));
    sizes.push_back(number("target_width", width));
  } else {
    sizes.push_back(number("aesthetic_score", place.negative ? 2.5 : 6.0));
  }
  const std::int64_t pooled_width =
      traits.vector_width - static_cast<std::int64_t>(sizes.size()) * kSizeWidth;
  if (!entry.pooled) {
    return error(StatusCode::kInvalidArgument,
                 "{}.pooled: a model of family {} needs the pooled text [1, {}], found none", what,
                 traits.family, pooled_width);
  }
  const auto& shape = entry.pooled->spec.shape;
  if (shape.size() != 2 || shape[0] != 1 || shape[1] != pooled_width) {
    return error(StatusCode::kInvalidArgument, "{}.pooled: expected [1, {}], found {}", what,
                 pooled_width, entry.pooled->spec.to_string());
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor pooled,
                        finite_floats(*entry.pooled, std::string(what) + ".pooled"));
  return torch_call(what, [&] {
    const at::Tensor waves = ops::timestep_embedding(at::tensor(sizes, at::kFloat), kSizeWidth);
    return at::cat({pooled, waves.reshape({1, -1})}, 1);
  });
}

}  // namespace luna::worker
