#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/host_weights.h"
#include "common/types/model.h"
#include "daemon/worker/adapters/adapter_file.h"

namespace luna::worker {

/// An adapter as one component is given it.
struct AdapterUse {
  std::string path;
  double strength = 1;
  std::map<std::string, double> blocks;  ///< see block_strength()
  auto operator<=>(const AdapterUse&) const = default;
};
/// What of a LoRA set concerns a component of this slot, in order; adapters of strength 0 do
/// nothing and are left out.
std::vector<AdapterUse> adapter_uses(const std::vector<LoraRef>& loras, Slot slot);

struct LoadedAdapter {
  AdapterUse use;
  std::shared_ptr<const AdapterFile> file;
};

/// What a list of adapters changes in one component: which weights, in which order, and that every
/// change fits. Nothing is computed yet. Refers to the adapters' files.
struct AdapterPlan {
  struct Change {
    const WeightChange* change = nullptr;
    double strength = 1;
    int part = 0, parts = 1;  ///< of the weight's rows
    bool transposed = false;  ///< it is for the weight the other way around
    std::string from;         ///< for messages: file and layer
  };
  std::map<std::string, std::vector<Change>> changes;       ///< by the component's own tensor names
  std::map<std::string, std::vector<std::int64_t>> shapes;  ///< of the weights that change
  std::vector<std::string> warnings;  ///< adapters' layers that the component does not have

  /// INVALID_ARGUMENT names file, layer and shapes when an adapter does not fit, or when none of
  /// the layers that it has for such a component is there (made for another family).
  static Result<AdapterPlan> make(Slot slot, const HostWeights& component,
                                  const std::vector<LoadedAdapter>& adapters);
};

}  // namespace luna::worker
