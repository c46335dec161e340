#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/layers/cross_attention.h"
#include "daemon/worker/layers/linear.h"
#include "daemon/worker/layers/norms.h"

namespace luna::worker {

/// One block of a SpatialTransformer: self-attention, cross-attention, GEGLU feed-forward, each
/// after a LayerNorm and added to its input. Names: attn1, attn2, ff.net, norm1..3.
class BasicTransformerBlock {
 public:
  BasicTransformerBlock(const WeightScope& scope, const CrossAttentionShape& shape,
                        Placement& placement);
  at::Tensor forward(at::Tensor x, const at::Tensor& context,
                     const AdapterRows& adapters = {}) const;

 private:
  LayerNorm norm1_;
  CrossAttention attn1_;
  LayerNorm norm2_;
  CrossAttention attn2_;
  LayerNorm norm3_;
  Linear widen_;
  Linear narrow_;
};

/// Transformer blocks over the cells of a picture, between two projections (matrices or 1x1
/// convolutions, which over NHWC pictures are the same), added to the input.
class SpatialTransformer {
 public:
  SpatialTransformer(const WeightScope& scope, const CrossAttentionShape& shape, int depth,
                     Placement& placement);
  /// x [n,width,h,w], context [n,tokens,context].
  at::Tensor forward(const at::Tensor& x, const at::Tensor& context,
                     const AdapterRows& adapters = {}) const;

 private:
  GroupNorm norm_;
  Linear proj_in_;
  std::vector<BasicTransformerBlock> blocks_;
  Linear proj_out_;
};

}  // namespace luna::worker
