#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// Whether packing a linear weight is worth its memory: for bf16 on the CPU (1.3-2.7x as fast as
/// the plain weight at 2..8192 rows), not for f32 (within 5 % of MKL on the plain weight, which can
/// be shared).
bool linear_gains_from_packing(at::Device device, at::ScalarType type);

/// oneDNN's own form of a weight [out,in], laid out for about `typical_rows` rows; right for any
/// number of them. A copy that does not refer to `weight`. Only where can_pack().
at::Tensor pack_linear_weight(const at::Tensor& weight, std::int64_t typical_rows);

/// x [..., in] times weight [out,in] (plain or packed) plus bias [out] (or undefined).
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace luna::worker::ops
