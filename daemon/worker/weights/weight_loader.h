#pragma once

#include <functional>
#include <memory>
#include <string>

#include <ATen/ATen.h>

#include "common/types/host_weights.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// Reads names, shapes and metadata of a model: a file, an index of shards or a diffusers folder
/// (ModelTensors). NOT_FOUND, INVALID_ARGUMENT (not a safetensors file, with what was expected and
/// found) or DATA_LOSS (truncated, lying header).
Result<TensorDirectory> read_directory(const std::string& path);

/// Takes a name of the file to the component's own name; "" leaves the tensor out.
using Rename = std::function<std::string(const std::string&)>;

struct WeightRequest {
  std::string path;
  Rename rename;
  at::ScalarType storage = at::kFloat;  ///< floating tensors are converted to this; others stay
  at::Device device = at::kCPU;
};

/// Reads one component into sealed memory (never a mapping of the file: one that is truncated or
/// overwritten later cannot hurt it) and hashes it on the way. DATA_LOSS when a file changed,
/// shrank or grew while it was read, RESOURCE_EXHAUSTED without memory. Nothing is kept on failure.
Result<HostWeights> read_weights(const std::string& path, const Rename& rename);

/// The tensors of `weights` on `device`, floating ones as `storage`, save single numbers: these are
/// no weights but settings, and stay as they lie in the file. On the CPU those that have that type
/// already are views of the sealed memory, which is read-only and may be shared with
/// other processes. What HostWeights::validate() answers, RESOURCE_EXHAUSTED.
Result<std::shared_ptr<const WeightStore>> place_weights(const HostWeights& weights,
                                                         at::ScalarType storage, at::Device device);

/// One tensor of `weights`, which must have it, as it lies there: a view of memory that is
/// read-only.
at::Tensor pristine_tensor(const HostWeights& weights, const std::string& name);

/// read_weights() and place_weights().
Result<std::shared_ptr<const WeightStore>> load_weights(const WeightRequest& request);

}  // namespace luna::worker
