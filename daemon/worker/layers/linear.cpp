#include "daemon/worker/layers/linear.h"

#include "daemon/worker/ops/linear.h"

namespace luna::worker {

Linear::Linear(const WeightScope& scope, const LinearShape& shape, Placement& placement)
    : name_(scope.prefix() + "weight") {
  placement.adds_rows_to(name_);
  const at::Tensor weight = take_projection(scope, "weight", shape.out, shape.in);
  const bool packs = ops::linear_gains_from_packing(placement.device(), placement.compute());
  weight_ = placement.place_packed(weight, packs, [&](const at::Tensor& converted) {
    return ops::pack_linear_weight(converted, shape.typical_rows);
  });
  if (shape.bias) bias_ = placement.place(scope.take("bias", {shape.out}));
}

at::Tensor Linear::forward(const at::Tensor& x, const AdapterRows& adapters) const {
  at::Tensor y = ops::linear(x, weight_, bias_);
  if (!adapters.empty()) adapters.add_linear(name_, x, y);
  return y;
}

}  // namespace luna::worker
