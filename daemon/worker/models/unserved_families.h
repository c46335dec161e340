#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

/// A family that this version recognises and does not serve.
struct UnservedFamily {
  std::string name;    ///< for people: "Flux"
  std::string marker;  ///< the tensor that gave it away
  bool denoiser = false;
};

/// The first such family in the file: denoisers before text encoders and others.
std::optional<UnservedFamily> find_unserved_family(const TensorDirectory& file);

/// "a LoRA or another adapter" where the names say so; such files are no models.
bool looks_like_adapter(const TensorDirectory& file);

/// All names of families that find_unserved_family() knows, with their markers.
std::string unserved_markers();

}  // namespace luna::worker
