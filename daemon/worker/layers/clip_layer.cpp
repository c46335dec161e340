#include "daemon/worker/layers/clip_layer.h"

#include "daemon/worker/ops/activation.h"
#include "daemon/worker/ops/attention.h"

namespace luna::worker {

ClipLayer::ClipLayer(const WeightScope& scope, const ClipLayerShape& shape, Placement& placement)
    : heads_(shape.heads),
      norm1_(scope.child("layer_norm1"), shape.width, placement),
      query_(scope.child("self_attn").child("q_proj"), {.in = shape.width, .out = shape.width},
             placement),
      key_(scope.child("self_attn").child("k_proj"), {.in = shape.width, .out = shape.width},
           placement),
      value_(scope.child("self_attn").child("v_proj"), {.in = shape.width, .out = shape.width},
             placement),
      out_(scope.child("self_attn").child("out_proj"), {.in = shape.width, .out = shape.width},
           placement),
      norm2_(scope.child("layer_norm2"), shape.width, placement),
      widen_(scope.child("mlp").child("fc1"), {.in = shape.width, .out = shape.hidden}, placement),
      narrow_(scope.child("mlp").child("fc2"), {.in = shape.hidden, .out = shape.width},
              placement) {}

at::Tensor ClipLayer::forward(at::Tensor x) const {
  const at::Tensor normed = norm1_.forward(x);
  const at::Tensor attended =
      ops::attention(query_.forward(normed), key_.forward(normed), value_.forward(normed),
                     {.heads = heads_, .causal = true});
  x = out_.forward(attended).add_(x);
  return narrow_.forward(ops::quick_gelu(widen_.forward(norm2_.forward(x)))).add_(x);
}

}  // namespace luna::worker
