#pragma once

#include <string>

#include <ATen/ATen.h>

#include "daemon/worker/layers/adapter_rows.h"
#include "daemon/worker/layers/placement.h"
#include "daemon/worker/weights/weight_scope.h"

namespace luna::worker {

struct LinearShape {
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool bias = true;
  std::int64_t typical_rows = 1024;  ///< for the packed form; any number of rows is right
};

/// y = x W^T + b over the last axis. Reads "weight" ([out,in], or [out,in,1,1] of a 1x1
/// convolution) and "bias" below `scope`. Resident: f32 on the CPU and everything on a GPU runs on
/// the pristine weight (shared with the store when the types agree); bf16 on the CPU runs on a
/// packed copy alone.
class Linear {
 public:
  Linear(const WeightScope& scope, const LinearShape& shape, Placement& placement);
  /// With what the rows' adapters add; rows first.
  at::Tensor forward(const at::Tensor& x, const AdapterRows& adapters = {}) const;

 private:
  std::string name_;  ///< of the weight
  at::Tensor weight_;
  at::Tensor bias_;
};

}  // namespace luna::worker
