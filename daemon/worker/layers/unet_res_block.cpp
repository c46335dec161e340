#include "daemon/worker/layers/unet_res_block.h"

#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kGroups = 32;
constexpr double kEps = 1e-5;

}  // namespace

UNetResBlock::UNetResBlock(const WeightScope& scope, const UNetResBlockShape& shape,
                           Placement& placement)
    : in_norm_(scope.child("in_layers").child(std::size_t{0}), shape.in, kGroups, kEps, placement),
      in_conv_(scope.child("in_layers").child(2),
               {.in = shape.in, .out = shape.out, .typical_extent = shape.typical_extent},
               placement),
      embedding_(scope.child("emb_layers").child(1),
                 {.in = shape.embedding, .out = shape.out, .typical_rows = 8}, placement),
      out_norm_(scope.child("out_layers").child(std::size_t{0}), shape.out, kGroups, kEps,
                placement),
      out_conv_(scope.child("out_layers").child(3),
                {.in = shape.out, .out = shape.out, .typical_extent = shape.typical_extent},
                placement) {
  if (shape.in != shape.out)
    skip_.emplace(scope.child("skip_connection"), LinearShape{.in = shape.in, .out = shape.out},
                  placement);
}

at::Tensor UNetResBlock::forward(const at::Tensor& x, const at::Tensor& activated_embedding,
                                 const AdapterRows& adapters) const {
  at::Tensor h = in_conv_.forward(in_norm_.forward_silu(x), adapters);
  h.add_(embedding_.forward(activated_embedding, adapters).unsqueeze(2).unsqueeze(3));
  h = out_conv_.forward(out_norm_.forward_silu(h), adapters);
  if (!skip_) return h.add_(x);
  const at::Tensor skipped = skip_->forward(ops::tokens_of(x), adapters);
  return h.add_(ops::picture_of(skipped, x.size(2), x.size(3)));
}

}  // namespace luna::worker
