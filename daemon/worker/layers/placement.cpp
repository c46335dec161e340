#include "daemon/worker/layers/placement.h"

namespace luna::worker {

at::Tensor Placement::place(const at::Tensor& pristine, at::ScalarType type) {
  if (!pristine.defined()) return pristine;
  return placed(pristine, pristine.to(device_, type));
}

at::Tensor Placement::placed(const at::Tensor& pristine, at::Tensor tensor) {
  resident_bytes_ += ops::weight_bytes(tensor);
  if (!ops::is_packed(pristine)) placed_.insert_or_assign(pristine.const_data_ptr(), tensor);
  return tensor;
}

void Placement::name_running(const WeightStore& store) {
  for (const auto& [name, pristine] : store.tensors()) {
    if (ops::is_packed(pristine)) continue;
    const auto running = placed_.find(pristine.const_data_ptr());
    if (running != placed_.end()) running_.emplace(name, running->second);
  }
  placed_.clear();
}

at::Tensor take_projection(const WeightScope& scope, const std::string& name, std::int64_t out,
                           std::int64_t in) {
  const at::Tensor* found = scope.store()->find(scope.prefix() + name);
  if (found == nullptr || found->dim() != 4) return scope.take(name, {out, in});
  const at::Tensor kernel = scope.take(name, {out, in, 1, 1});
  return kernel.defined() ? kernel.flatten(1) : kernel;
}

}  // namespace luna::worker
