#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/dtype.h"
#include "daemon/worker/models/registry.h"
#include "daemon/worker/precision/component_types.h"
#include "daemon/worker/weights/host_copies.h"

namespace luna::worker {

/// A component that a file holds, with what is known of it before its bytes are read.
struct FoundComponent {
  DetectedComponent detected;           ///< info.file_bytes is filled in
  std::uint64_t floating_elements = 0;  ///< those that take the storage type when loaded
  std::uint64_t packed_elements = 0;    ///< at most so many where weights are packed
  std::uint64_t other_bytes = 0;        ///< of the tensors that keep their type
  DType file_type = DType::kF32;        ///< the floating type of most of its elements

  /// An upper bound of what its weights keep resident in these types on this device, prepacked
  /// forms included.
  std::uint64_t bytes_as(const ComponentTypes& types, at::Device device) const;
};

/// Where components come from: model files, or a test's stand-in. Called from the loading thread
/// only.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  virtual Result<std::vector<FoundComponent>> inspect(const std::string& path) = 0;
  /// What stands in the headers of a model's files.
  virtual Result<TensorDirectory> directory(const std::string& path) = 0;

  /// Reading and building are two steps, so that a duplicate is dropped between them.
  virtual Result<std::shared_ptr<const WeightStore>> read(const std::string& path,
                                                          const FoundComponent& found,
                                                          at::ScalarType storage,
                                                          at::Device device) = 0;
  /// The weights as they lie in the file, for adapters to start from.
  virtual Result<HostWeights> pristine(const std::string& path, const FoundComponent& found) = 0;
  /// Components whose weights came from files so far; from any thread.
  virtual std::uint64_t reads() const = 0;
  virtual Result<Component> build(const FoundComponent& found,
                                  std::shared_ptr<const WeightStore> weights,
                                  at::ScalarType compute, at::Device device) = 0;
};

/// read_directory, detect_components, read_weights and build_component. Weights are looked for
/// among `copies` first, and offered to them when they had to be read; nullptr: there are none.
std::unique_ptr<ModelSource> make_file_source(std::shared_ptr<HostCopies> copies = nullptr);

/// What runs of a component, by its tensors' names; empty for one that takes no adapters.
WeightStore::Tensors running_weights_of(const Component& component);

/// The weights of any component: what it keeps resident, in bytes.
std::uint64_t resident_bytes_of(const Component& component);

}  // namespace luna::worker
