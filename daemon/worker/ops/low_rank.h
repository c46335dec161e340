#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// result = weight + up · down, for `weight` (f32, f16 or bf16) and `result` (f32) [out, in], up
/// [out, rank], down [rank, in] (f32), all contiguous; `result` may be `weight` itself. Sums are
/// f32. On x86 with AVX2 in one pass over memory: the product is summed in registers and added
/// once, each number of `weight` is read once and each of `result` written once, past the caches.
void add_low_rank(const at::Tensor& weight, const at::Tensor& up, const at::Tensor& down,
                  const at::Tensor& result);

}  // namespace luna::worker::ops
