#include "daemon/worker/layers/cross_attention.h"

#include "daemon/worker/ops/attention.h"

namespace luna::worker {

CrossAttention::CrossAttention(const WeightScope& scope, const CrossAttentionShape& shape,
                               Placement& placement)
    : heads_(shape.heads),
      to_q_(scope.child("to_q"), {.in = shape.width, .out = shape.width, .bias = false}, placement),
      to_k_(scope.child("to_k"), {.in = shape.context, .out = shape.width, .bias = false},
            placement),
      to_v_(scope.child("to_v"), {.in = shape.context, .out = shape.width, .bias = false},
            placement),
      to_out_(scope.child("to_out").child(std::size_t{0}), {.in = shape.width, .out = shape.width},
              placement) {}

at::Tensor CrossAttention::forward(const at::Tensor& x, const at::Tensor& context,
                                   const AdapterRows& adapters) const {
  const at::Tensor attended =
      ops::attention(to_q_.forward(x, adapters), to_k_.forward(context, adapters),
                     to_v_.forward(context, adapters), {.heads = heads_});
  return to_out_.forward(attended, adapters);
}

}  // namespace luna::worker
