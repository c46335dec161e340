#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/types/model.h"
#include "daemon/worker/models/denoising_model.h"
#include "daemon/worker/models/taesd.h"
#include "daemon/worker/models/text_encoder.h"
#include "daemon/worker/models/vae.h"
#include "daemon/worker/weights/tensor_directory.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// A component that a file holds, and how its tensors are named there.
struct DetectedComponent {
  ComponentInfo info;  ///< content_hash and file_bytes are empty
  /// Takes a name of the file to the component's own name; "" when the tensor is not part of it.
  std::function<std::string(const std::string&)> rename;
};

/// Every component in the file, recognised from names and shapes (and, where these cannot tell,
/// metadata). UNIMPLEMENTED for a known family that is not served yet, INVALID_ARGUMENT for an
/// unknown one; both say which marker tensors were looked for and name a few that were found.
Result<std::vector<DetectedComponent>> detect_components(const TensorDirectory& directory);

using Component =
    std::variant<std::shared_ptr<const DenoisingModel>, std::shared_ptr<const TextEncoder>,
                 std::shared_ptr<const Vae>, std::shared_ptr<const TaesdDecoder>>;

/// Builds the runnable model. `info` as detection gave it (its slot and family choose the class);
/// dimensions are read from the weights again. INVALID_ARGUMENT names every missing or misshapen
/// tensor.
Result<Component> build_component(const ComponentInfo& info,
                                  std::shared_ptr<const WeightStore> weights,
                                  at::ScalarType compute, at::Device device);

}  // namespace luna::worker
