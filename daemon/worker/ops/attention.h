#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

struct AttentionOptions {
  std::int64_t heads = 1;
  bool causal = false;  ///< token i sees tokens 0..i; needs as many keys as queries
  /// Where no fused kernel serves the shape, the scores of one call stay below this.
  std::int64_t score_bytes = std::int64_t{512} << 20;
};

/// softmax(q k^T / sqrt(d)) v over heads. q [n,lq,heads*d], k and v [n,lk,heads*d]; result
/// [n,lq,heads*d].
///
/// Memory is linear in the tokens: the CPU's kernel and CUDA's fused ones never hold the scores,
/// and for shapes that these refuse the queries are taken in pieces of at most `score_bytes` of
/// scores.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options);

/// The same in pieces of queries, whatever kernels there are: what attention() falls back to.
at::Tensor attention_in_pieces(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const AttentionOptions& options);

}  // namespace luna::worker::ops
