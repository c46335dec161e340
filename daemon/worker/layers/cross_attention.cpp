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

at::Tensor CrossAttention::forward(const at::Tensor& x, const at::Tensor& context) const {
  return to_out_.forward(ops::attention(to_q_.forward(x), to_k_.forward(context),
                                        to_v_.forward(context), {.heads = heads_}));
}

}  // namespace luna::worker
