#include "daemon/worker/ops/attention.h"

#include <algorithm>

namespace luna::worker::ops {
namespace {

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

/// CUDA's memory-efficient kernel wants rows of a multiple of 16 bytes; the CPU's takes any.
bool fused_kernel_serves(const at::Tensor& q) {
  if (q.device().is_cpu()) return true;
  return q.is_cuda() && (q.size(-1) * q.element_size()) % 16 == 0;
}

at::Tensor in_pieces(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options) {
  const std::int64_t queries = q.size(2), keys = k.size(2);
  const std::int64_t row_bytes = std::max<std::int64_t>(1, q.size(0) * q.size(1) * keys * 4);
  const std::int64_t rows = std::clamp<std::int64_t>(options.score_bytes / row_bytes, 1, queries);
  if (rows == queries)
    return at::scaled_dot_product_attention(q, k, v, std::nullopt, 0.0, options.causal);
  std::vector<at::Tensor> pieces;
  for (std::int64_t first = 0; first < queries; first += rows) {
    const std::int64_t count = std::min(rows, queries - first);
    std::optional<at::Tensor> mask;
    if (options.causal) {
      mask = at::ones({count, keys}, q.options().dtype(at::kBool)).tril(first);
    }
    pieces.push_back(
        at::scaled_dot_product_attention(q.narrow(2, first, count), k, v, mask, 0.0, false));
  }
  return at::cat(pieces, 2);
}

at::Tensor join_heads(const at::Tensor& x) { return x.transpose(1, 2).flatten(2); }

}  // namespace

at::Tensor attention_in_pieces(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const AttentionOptions& options) {
  return join_heads(in_pieces(split_heads(q, options.heads), split_heads(k, options.heads),
                              split_heads(v, options.heads), options));
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options) {
  const at::Tensor query = split_heads(q, options.heads);
  if (!fused_kernel_serves(query)) return attention_in_pieces(q, k, v, options);
  return join_heads(at::scaled_dot_product_attention(query, split_heads(k, options.heads),
                                                     split_heads(v, options.heads), std::nullopt,
                                                     0.0, options.causal));
}

}  // namespace luna::worker::ops
