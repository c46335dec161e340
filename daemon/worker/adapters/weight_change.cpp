#include "daemon/worker/adapters/weight_change.h"

#include <limits>

#include <fmt/ranges.h>

namespace luna::worker {

at::Tensor f32_beside(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.to(like.device(), at::kFloat);
}

Status misfit(at::IntArrayRef weight, const std::string& expected, const std::string& found) {
  return error(StatusCode::kInvalidArgument, "expected {} for a weight [{}], found {}", expected,
               fmt::join(weight, ", "), found);
}

Status magnitude_fits(const at::Tensor& magnitude, at::IntArrayRef weight) {
  if (!magnitude.defined()) return {};
  if (weight.size() >= 2 && magnitude.dim() > 0) {
    const std::int64_t axis = magnitude.size(0) == weight[0] ? weight[0] : weight[1];
    if (magnitude.numel() == axis) return {};
  }
  return misfit(weight, "a DoRA magnitude for each row or each column",
                fmt::format("[{}]", fmt::join(magnitude.sizes(), ", ")));
}

at::Tensor decomposed(const at::Tensor& weight, const at::Tensor& delta,
                      const at::Tensor& magnitude, double strength, MagnitudeNorm of) {
  const at::Tensor sum = weight + delta;
  std::vector<std::int64_t> beside(static_cast<std::size_t>(weight.dim()), 1);
  at::Tensor norm;
  if (magnitude.size(0) == weight.size(0)) {
    beside[0] = weight.size(0);
    const at::Tensor& measured = of == MagnitudeNorm::kPeft ? sum : weight;
    norm = measured.flatten(1).norm(2, {1}).view(beside);
  } else {
    beside[1] = weight.size(1);
    norm = sum.transpose(0, 1).flatten(1).norm(2, {1}).view(beside);
  }
  norm = norm + static_cast<double>(std::numeric_limits<float>::epsilon());
  const at::Tensor goal = sum * (f32_beside(magnitude, weight).reshape(beside) / norm);
  return weight + strength * (goal - weight);
}

Status AdditiveChange::fits(at::IntArrayRef weight) const {
  LUNA_RETURN_IF_ERROR(direction_fits(weight));
  if (norm_ == MagnitudeNorm::kPeft && magnitude_.numel() != weight[0])
    return misfit(weight, "a DoRA magnitude for each row", fmt::format("{}", magnitude_.numel()));
  return magnitude_fits(magnitude_, weight);
}

at::Tensor AdditiveChange::apply(at::Tensor weight, double strength) const {
  const at::Tensor towards = direction(weight).reshape(weight.sizes());
  if (magnitude_.defined())
    return decomposed(weight, scale_ * towards, magnitude_, strength, norm_);
  return weight.add_(towards, strength * scale_);
}

}  // namespace luna::worker
