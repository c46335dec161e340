#include "daemon/worker/layers/clip_layer.h"

#include "daemon/worker/ops/activation.h"
#include "daemon/worker/ops/attention.h"

namespace luna::worker {

ClipLayer::ClipLayer(const WeightScope& scope, const ClipLayerShape& shape, Placement& placement)
    : heads_(shape.heads),
      quick_gelu_(shape.quick_gelu),
      norm1_(scope.child("layer_norm1"), shape.width, placement),
      out_(scope.child("self_attn").child("out_proj"), {.in = shape.width, .out = shape.width},
           placement),
      norm2_(scope.child("layer_norm2"), shape.width, placement),
      widen_(scope.child("mlp").child("fc1"), {.in = shape.width, .out = shape.hidden}, placement),
      narrow_(scope.child("mlp").child("fc2"), {.in = shape.hidden, .out = shape.width},
              placement) {
  const WeightScope attention = scope.child("self_attn");
  if (attention.child("in_proj").has("weight")) {
    inputs_.emplace_back(attention.child("in_proj"),
                         LinearShape{.in = shape.width, .out = 3 * shape.width}, placement);
    return;
  }
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    inputs_.emplace_back(attention.child(name), LinearShape{.in = shape.width, .out = shape.width},
                         placement);
  }
}

std::vector<at::Tensor> ClipLayer::query_key_value(const at::Tensor& x) const {
  if (inputs_.size() == 1) return inputs_.front().forward(x).chunk(3, -1);
  return {inputs_[0].forward(x), inputs_[1].forward(x), inputs_[2].forward(x)};
}

at::Tensor ClipLayer::forward(at::Tensor x) const {
  const std::vector<at::Tensor> inputs = query_key_value(norm1_.forward(x));
  const at::Tensor attended =
      ops::attention(inputs[0], inputs[1], inputs[2], {.heads = heads_, .causal = true});
  x = out_.forward(attended).add_(x);
  const at::Tensor wide = widen_.forward(norm2_.forward(x));
  return narrow_.forward(quick_gelu_ ? ops::quick_gelu(wide) : ops::gelu(wide)).add_(x);
}

}  // namespace luna::worker
