#include "daemon/worker/layers/conv2d.h"

#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {

Conv2d::Conv2d(const WeightScope& scope, const Conv2dShape& shape, Placement& placement)
    : name_(scope.prefix() + "weight"), geometry_{shape.stride, shape.padding} {
  placement.adds_rows_to(name_);
  const at::Tensor weight = scope.take("weight", {shape.out, shape.in, shape.kernel, shape.kernel});
  const bool packs = ops::can_pack(placement.device(), placement.compute());
  weight_ = placement.place_packed(weight, true, [&](const at::Tensor& converted) {
    if (!packs) return ops::to_picture_format(converted);
    return ops::pack_conv2d_weight(converted, geometry_,
                                   {2, shape.in, shape.typical_extent, shape.typical_extent});
  });
  if (shape.has_bias) bias_ = placement.place(scope.take("bias", {shape.out}));
}

at::Tensor Conv2d::forward(const at::Tensor& x, const AdapterRows& adapters) const {
  at::Tensor y = ops::conv2d(x, weight_, bias_, geometry_);
  if (!adapters.empty()) adapters.add_conv2d(name_, x, geometry_, y);
  return y;
}

}  // namespace luna::worker
