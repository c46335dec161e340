#include "daemon/worker/layers/spatial_transformer.h"

#include "daemon/worker/ops/activation.h"
#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {

BasicTransformerBlock::BasicTransformerBlock(const WeightScope& scope,
                                             const CrossAttentionShape& shape, Placement& placement)
    : norm1_(scope.child("norm1"), shape.width, placement),
      attn1_(scope.child("attn1"),
             {.width = shape.width, .context = shape.width, .heads = shape.heads}, placement),
      norm2_(scope.child("norm2"), shape.width, placement),
      attn2_(scope.child("attn2"), shape, placement),
      norm3_(scope.child("norm3"), shape.width, placement),
      widen_(scope.child("ff").child("net").child(std::size_t{0}).child("proj"),
             {.in = shape.width, .out = 8 * shape.width}, placement),
      narrow_(scope.child("ff").child("net").child(2), {.in = 4 * shape.width, .out = shape.width},
              placement) {}

at::Tensor BasicTransformerBlock::forward(at::Tensor x, const at::Tensor& context,
                                          const AdapterRows& adapters) const {
  const at::Tensor normed = norm1_.forward(x);
  x = attn1_.forward(normed, normed, adapters).add_(x);
  x = attn2_.forward(norm2_.forward(x), context, adapters).add_(x);
  const at::Tensor gated = ops::geglu(widen_.forward(norm3_.forward(x), adapters));
  return narrow_.forward(gated, adapters).add_(x);
}

SpatialTransformer::SpatialTransformer(const WeightScope& scope, const CrossAttentionShape& shape,
                                       int depth, Placement& placement)
    : norm_(scope.child("norm"), shape.width, 32, 1e-6, placement),
      proj_in_(scope.child("proj_in"), {.in = shape.width, .out = shape.width}, placement),
      proj_out_(scope.child("proj_out"), {.in = shape.width, .out = shape.width}, placement) {
  for (int i = 0; i < depth; ++i)
    blocks_.emplace_back(scope.child("transformer_blocks").child(static_cast<std::size_t>(i)),
                         shape, placement);
}

at::Tensor SpatialTransformer::forward(const at::Tensor& x, const at::Tensor& context,
                                       const AdapterRows& adapters) const {
  at::Tensor tokens = proj_in_.forward(ops::tokens_of(norm_.forward(x)), adapters);
  for (const BasicTransformerBlock& block : blocks_)
    tokens = block.forward(std::move(tokens), context, adapters);
  return ops::picture_of(proj_out_.forward(tokens, adapters), x.size(2), x.size(3)).add_(x);
}

}  // namespace luna::worker
