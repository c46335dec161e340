#include "daemon/worker/layers/resample.h"

#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {

Upsample::Upsample(const WeightScope& scope, std::int64_t channels, std::int64_t typical_extent,
                   Placement& placement)
    : conv_(scope.child("conv"),
            {.in = channels, .out = channels, .typical_extent = typical_extent}, placement) {}

at::Tensor Upsample::forward(const at::Tensor& x, std::int64_t height, std::int64_t width,
                             const AdapterRows& adapters) const {
  return conv_.forward(at::upsample_nearest2d(ops::to_picture_format(x), {height, width}),
                       adapters);
}

Downsample::Downsample(const WeightScope& scope, std::int64_t channels, Padding padding,
                       std::int64_t typical_extent, Placement& placement)
    : padding_(padding),
      conv_(scope.child(padding == Padding::kSymmetric ? "op" : "conv"),
            {.in = channels,
             .out = channels,
             .stride = 2,
             .padding = padding == Padding::kSymmetric ? 1 : 0,
             .typical_extent = typical_extent},
            placement) {}

at::Tensor Downsample::forward(const at::Tensor& x, const AdapterRows& adapters) const {
  if (padding_ == Padding::kSymmetric) return conv_.forward(x, adapters);
  return conv_.forward(at::constant_pad_nd(x, {0, 1, 0, 1}), adapters);
}

}  // namespace luna::worker
