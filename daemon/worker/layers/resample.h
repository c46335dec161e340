#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/layers/conv2d.h"

namespace luna::worker {

/// Nearest-neighbour enlargement followed by a 3x3 convolution ("conv" below `scope`).
class Upsample {
 public:
  Upsample(const WeightScope& scope, std::int64_t channels, std::int64_t typical_extent,
           Placement& placement);
  /// To exactly this size: twice the input's, or one less where an odd extent was halved on the way
  /// down.
  at::Tensor forward(const at::Tensor& x, std::int64_t height, std::int64_t width,
                     const AdapterRows& adapters = {}) const;

 private:
  Conv2d conv_;
};

/// Halves both extents with a strided 3x3 convolution.
class Downsample {
 public:
  enum class Padding {
    kSymmetric,      ///< UNets: one cell on every side; odd extents round up. Weights below "op"
    kRightAndBelow,  ///< VAEs: one cell right and below; odd extents round down. Weights below
                     ///< "conv"
  };
  Downsample(const WeightScope& scope, std::int64_t channels, Padding padding,
             std::int64_t typical_extent, Placement& placement);
  at::Tensor forward(const at::Tensor& x, const AdapterRows& adapters = {}) const;

 private:
  Padding padding_;
  Conv2d conv_;
};

}  // namespace luna::worker
