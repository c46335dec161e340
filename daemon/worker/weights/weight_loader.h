#pragma once

#include <functional>
#include <memory>
#include <string>

#include <ATen/ATen.h>

#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// Reads names, shapes and metadata of a model file. NOT_FOUND, INVALID_ARGUMENT (not a safetensors
/// file, with what was expected and found) or DATA_LOSS (truncated, lying header).
Result<TensorDirectory> read_directory(const std::string& path);

struct WeightRequest {
  std::string path;
  /// Takes a name of the file to the component's own name; "" leaves the tensor out.
  std::function<std::string(const std::string&)> rename;
  at::ScalarType storage = at::kFloat;  ///< floating tensors are converted to this; others stay
  at::Device device = at::kCPU;
};

/// Reads one component into memory of this process (never a mapping: a file that is truncated or
/// overwritten later cannot hurt it) and hashes it on the way. DATA_LOSS when the file changed,
/// shrank or grew while it was read, OUT_OF_MEMORY as RESOURCE_EXHAUSTED. Nothing is kept on
/// failure.
Result<std::shared_ptr<const WeightStore>> load_weights(const WeightRequest& request);

}  // namespace luna::worker
