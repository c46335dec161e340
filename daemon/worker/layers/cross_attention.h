#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/layers/linear.h"

namespace luna::worker {

struct CrossAttentionShape {
  std::int64_t width = 0;
  std::int64_t context = 0;  ///< width of what is attended to
  std::int64_t heads = 1;
};

/// Multi-head attention of ldm UNets: to_q, to_k, to_v without bias, to_out.0 with one.
class CrossAttention {
 public:
  CrossAttention(const WeightScope& scope, const CrossAttentionShape& shape, Placement& placement);
  /// x [n,tokens,width], context [n,tokens',context]; x itself for self-attention.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& context,
                     const AdapterRows& adapters = {}) const;

 private:
  std::int64_t heads_;
  Linear to_q_;
  Linear to_k_;
  Linear to_v_;
  Linear to_out_;
};

}  // namespace luna::worker
