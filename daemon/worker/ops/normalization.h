#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// GroupNorm over [n,c,h,w]; weight and bias [c]. Keeps the memory format of x.
at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& weight,
                      const at::Tensor& bias, double eps);

/// SiLU of group_norm(), written over the norm's own result: no third buffer.
at::Tensor group_norm_silu(const at::Tensor& x, std::int64_t groups, const at::Tensor& weight,
                           const at::Tensor& bias, double eps);

/// LayerNorm over the last axis; weight and bias [width].
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);

}  // namespace luna::worker::ops
