#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/worker/adapters/peft_config.h"
#include "daemon/worker/adapters/weight_change.h"

namespace luna::worker {

/// An adapter file, parsed: what it changes in each layer, by the layer's name as the file has it.
/// Immutable; on the CPU, in the file's own types.
struct AdapterFile {
  struct Layer {
    WeightChangePtr weight;  ///< nullptr: unchanged
    WeightChangePtr bias;
  };
  std::map<std::string, Layer> layers;
  std::vector<std::string> unknown;  ///< tensors that no known kind of adapter has
  std::uint64_t bytes = 0;
};

/// Reads and checks a safetensors file of any kind that adapter_parts.h makes, the kinds mixed at
/// will. What SafetensorsFile answers; INVALID_ARGUMENT for parts that are missing or contradict
/// each other, with file, layer and tensor, and for a file without any adapter; UNIMPLEMENTED for
/// pickles (.pt, .bin: reading one runs code of its author). The scales that PEFT keeps in a config
/// beside its file count (peft_config.h).
Result<AdapterFile> read_adapter(const std::string& path);
/// The same from tensors by their names in a file, and PEFT's config if there is one.
Result<AdapterFile> make_adapter(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                                 const std::optional<PeftConfig>& config = std::nullopt);

}  // namespace luna::worker
