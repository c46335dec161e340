#include "daemon/worker/layers/norms.h"

#include "daemon/worker/ops/normalization.h"

namespace luna::worker {

GroupNorm::GroupNorm(const WeightScope& scope, std::int64_t channels, std::int64_t groups,
                     double eps, Placement& placement)
    : groups_(groups),
      eps_(eps),
      weight_(placement.place(scope.take("weight", {channels}))),
      bias_(placement.place(scope.take("bias", {channels}))) {}

at::Tensor GroupNorm::forward(const at::Tensor& x) const {
  return ops::group_norm(x, groups_, weight_, bias_, eps_);
}

at::Tensor GroupNorm::forward_silu(const at::Tensor& x) const {
  return ops::group_norm_silu(x, groups_, weight_, bias_, eps_);
}

LayerNorm::LayerNorm(const WeightScope& scope, std::int64_t width, Placement& placement)
    : weight_(placement.place(scope.take("weight", {width}))),
      bias_(placement.place(scope.take("bias", {width}))) {}

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  constexpr double kEps = 1e-5;
  return ops::layer_norm(x, weight_, bias_, kEps);
}

}  // namespace luna::worker
