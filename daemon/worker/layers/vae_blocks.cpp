#include "daemon/worker/layers/vae_blocks.h"

#include "daemon/worker/ops/attention.h"
#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {
namespace {

constexpr double kEps = 1e-6;

LinearShape square(std::int64_t channels) { return {.in = channels, .out = channels}; }

}  // namespace

VaeResBlock::VaeResBlock(const WeightScope& scope, const VaeBlockShape& shape, Placement& placement)
    : norm1_(scope.child("norm1"), shape.in, shape.groups, kEps, placement),
      conv1_(scope.child("conv1"),
             {.in = shape.in, .out = shape.out, .typical_extent = shape.typical_extent}, placement),
      norm2_(scope.child("norm2"), shape.out, shape.groups, kEps, placement),
      conv2_(scope.child("conv2"),
             {.in = shape.out, .out = shape.out, .typical_extent = shape.typical_extent},
             placement) {
  if (shape.in != shape.out)
    shortcut_.emplace(scope.child("nin_shortcut"), LinearShape{.in = shape.in, .out = shape.out},
                      placement);
}

at::Tensor VaeResBlock::forward(const at::Tensor& x) const {
  at::Tensor h = conv1_.forward(norm1_.forward_silu(x));
  h = norm2_.forward_silu(h);
  h = conv2_.forward(h);
  if (!shortcut_) return h.add_(x);
  return h.add_(ops::picture_of(shortcut_->forward(ops::tokens_of(x)), x.size(2), x.size(3)));
}

VaeAttention::VaeAttention(const WeightScope& scope, std::int64_t channels, std::int64_t groups,
                           Placement& placement)
    : norm_(scope.child("norm"), channels, groups, kEps, placement),
      query_(scope.child("q"), square(channels), placement),
      key_(scope.child("k"), square(channels), placement),
      value_(scope.child("v"), square(channels), placement),
      out_(scope.child("proj_out"), square(channels), placement) {}

at::Tensor VaeAttention::forward(const at::Tensor& x) const {
  const at::Tensor tokens = ops::tokens_of(norm_.forward(x));
  const at::Tensor attended = ops::attention(query_.forward(tokens), key_.forward(tokens),
                                             value_.forward(tokens), {.heads = 1});
  return ops::picture_of(out_.forward(attended), x.size(2), x.size(3)).add_(x);
}

VaeMiddle::VaeMiddle(const WeightScope& scope, std::int64_t channels, std::int64_t groups,
                     Placement& placement)
    : block1_(scope.child("block_1"), {.in = channels, .out = channels, .groups = groups},
              placement),
      attention_(scope.child("attn_1"), channels, groups, placement),
      block2_(scope.child("block_2"), {.in = channels, .out = channels, .groups = groups},
              placement) {}

at::Tensor VaeMiddle::forward(const at::Tensor& x) const {
  return block2_.forward(attention_.forward(block1_.forward(x)));
}

}  // namespace luna::worker
