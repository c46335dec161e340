#pragma once

#include <optional>

#include <ATen/ATen.h>

#include "daemon/worker/layers/conv2d.h"
#include "daemon/worker/layers/linear.h"
#include "daemon/worker/layers/norms.h"

namespace luna::worker {

struct UNetResBlockShape {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t embedding = 0;
  std::int64_t typical_extent = 32;
};

/// The residual block of ldm UNets: norm, SiLU, conv, plus the timestep's projection, norm, SiLU,
/// conv, plus the input (through a 1x1 convolution when the width changes). Names: in_layers,
/// emb_layers, out_layers, skip_connection.
class UNetResBlock {
 public:
  UNetResBlock(const WeightScope& scope, const UNetResBlockShape& shape, Placement& placement);
  /// x [n,in,h,w]; activated_embedding [n,embedding]: SiLU of the timestep embedding, computed once
  /// for all blocks of a forward.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& activated_embedding,
                     const AdapterRows& adapters = {}) const;

 private:
  GroupNorm in_norm_;
  Conv2d in_conv_;
  Linear embedding_;
  GroupNorm out_norm_;
  Conv2d out_conv_;
  std::optional<Linear> skip_;
};

}  // namespace luna::worker
