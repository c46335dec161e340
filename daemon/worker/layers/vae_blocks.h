#pragma once

#include <optional>

#include <ATen/ATen.h>

#include "daemon/worker/layers/conv2d.h"
#include "daemon/worker/layers/linear.h"
#include "daemon/worker/layers/norms.h"

namespace luna::worker {

struct VaeBlockShape {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t groups = 32;
  std::int64_t typical_extent = 64;
};

/// Residual block of the ldm autoencoder: norm1, conv1, norm2, conv2, nin_shortcut when the width
/// changes.
class VaeResBlock {
 public:
  VaeResBlock(const WeightScope& scope, const VaeBlockShape& shape, Placement& placement);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  GroupNorm norm1_;
  Conv2d conv1_;
  GroupNorm norm2_;
  Conv2d conv2_;
  std::optional<Linear> shortcut_;
};

/// Single-head self-attention over all cells, added to the input: norm, q, k, v, proj_out (1x1
/// convolutions, or matrices as diffusers stores them). Memory is linear in the cells.
class VaeAttention {
 public:
  VaeAttention(const WeightScope& scope, std::int64_t channels, std::int64_t groups,
               Placement& placement);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  GroupNorm norm_;
  Linear query_;
  Linear key_;
  Linear value_;
  Linear out_;
};

/// block_1, attn_1, block_2: the narrowest part of encoder and decoder.
class VaeMiddle {
 public:
  VaeMiddle(const WeightScope& scope, std::int64_t channels, std::int64_t groups,
            Placement& placement);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  VaeResBlock block1_;
  VaeAttention attention_;
  VaeResBlock block2_;
};

}  // namespace luna::worker
