#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/layers/placement.h"
#include "daemon/worker/weights/weight_scope.h"

namespace luna::worker {

/// GroupNorm over [n,channels,h,w]. Reads "weight" and "bias"; `channels` is a multiple of
/// `groups`.
class GroupNorm {
 public:
  GroupNorm(const WeightScope& scope, std::int64_t channels, std::int64_t groups, double eps,
            Placement& placement);
  at::Tensor forward(const at::Tensor& x) const;
  /// SiLU of forward(), in one buffer.
  at::Tensor forward_silu(const at::Tensor& x) const;

 private:
  std::int64_t groups_;
  double eps_;
  at::Tensor weight_;
  at::Tensor bias_;
};

/// LayerNorm over the last axis, eps 1e-5. Reads "weight" and "bias".
class LayerNorm {
 public:
  LayerNorm(const WeightScope& scope, std::int64_t width, Placement& placement);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_;
  at::Tensor bias_;
};

}  // namespace luna::worker
