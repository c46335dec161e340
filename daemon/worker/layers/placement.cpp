#include "daemon/worker/layers/placement.h"

namespace luna::worker {

at::Tensor Placement::place(const at::Tensor& pristine, at::ScalarType type) {
  if (!pristine.defined()) return pristine;
  at::Tensor placed = pristine.to(device_, type);
  count(placed);
  return placed;
}

at::Tensor take_projection(const WeightScope& scope, const std::string& name, std::int64_t out,
                           std::int64_t in) {
  const at::Tensor* found = scope.store()->find(scope.prefix() + name);
  if (found == nullptr || found->dim() != 4) return scope.take(name, {out, in});
  const at::Tensor kernel = scope.take(name, {out, in, 1, 1});
  return kernel.defined() ? kernel.flatten(1) : kernel;
}

}  // namespace luna::worker
