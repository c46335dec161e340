#pragma once

#include <string>

#include <ATen/ATen.h>

#include "daemon/worker/layers/adapter_rows.h"
#include "daemon/worker/layers/placement.h"
#include "daemon/worker/ops/conv2d.h"
#include "daemon/worker/weights/weight_scope.h"

namespace luna::worker {

struct Conv2dShape {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  std::int64_t padding = 1;
  std::int64_t typical_extent = 32;  ///< height and width that the packed form is laid out for
  bool has_bias = true;
};

/// A convolution, mostly with bias. Reads "weight" [out,in,k,k] and "bias". What runs, and is kept,
/// is a copy: packed where ops::can_pack(), else in NHWC order.
class Conv2d {
 public:
  Conv2d(const WeightScope& scope, const Conv2dShape& shape, Placement& placement);
  /// [n,in,h,w] to [n,out,h',w'] in picture format, with what the rows' adapters add.
  at::Tensor forward(const at::Tensor& x, const AdapterRows& adapters = {}) const;

 private:
  std::string name_;  ///< of the weight
  ops::Conv2dGeometry geometry_;
  at::Tensor weight_;
  at::Tensor bias_;
};

}  // namespace luna::worker
