#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// First half of the last axis times the exact GELU of the second half.
at::Tensor geglu(const at::Tensor& x);

/// x * sigmoid(1.702 x), CLIP-L's activation.
at::Tensor quick_gelu(const at::Tensor& x);

/// The exact GELU, CLIP-G's activation.
at::Tensor gelu(const at::Tensor& x);

}  // namespace luna::worker::ops
