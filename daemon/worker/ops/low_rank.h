#pragma once

#include <vector>

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// result = weight + up · down, for `weight` (f32, f16 or bf16) and `result` (f32) [out, in], up
/// [out, rank], down [rank, in] (f32), all contiguous; `result` may be `weight` itself.
struct LowRankAddition {
  at::Tensor weight, up, down, result;
};

/// Sums are f32. On x86 with AVX2 in one pass over memory: a product is summed in registers and
/// added once, each number of a weight is read once and each of a result written once, past the
/// caches; all additions are one piece of work, which the threads share. Results have the same bits
/// alone, in company and on any number of threads.
void add_low_rank(const std::vector<LowRankAddition>& additions);

}  // namespace luna::worker::ops
