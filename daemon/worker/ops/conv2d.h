#pragma once

#include <array>

#include <ATen/ATen.h>

namespace luna::worker::ops {

struct Conv2dGeometry {
  std::int64_t stride = 1;
  std::int64_t padding = 0;
};

/// oneDNN's own form of a convolution's weight [out,in,kh,kw], laid out for inputs about as large
/// as `typical_input` (n,c,h,w). Other batch sizes and extents give the same result; where oneDNN
/// would want another layout for them it reorders a scratch copy in that call. The result is a copy
/// and does not refer to `weight`. Only where can_pack().
///
/// Against the plain weight, best of several runs on two AVX-512 cores at SD1.5's shapes, batch 2:
/// f32 1.1-1.4x as fast (2.3x for 1x1), bf16 2-3x.
at::Tensor pack_conv2d_weight(const at::Tensor& weight, const Conv2dGeometry& geometry,
                              const std::array<std::int64_t, 4>& typical_input);

/// x [n,in,h,w], weight plain or packed, bias [out] or undefined. The result is in picture format.
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const Conv2dGeometry& geometry);

}  // namespace luna::worker::ops
