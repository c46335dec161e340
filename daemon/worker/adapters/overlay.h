#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/host_weights.h"
#include "common/types/model.h"
#include "daemon/worker/adapters/adapter_file.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// An adapter as one component is given it.
struct AdapterUse {
  std::string path;
  double strength = 1;
  bool operator==(const AdapterUse&) const = default;
};
/// What of a LoRA set concerns a component of this slot, in order; adapters of strength 0 do
/// nothing and are left out.
std::vector<AdapterUse> adapter_uses(const std::vector<LoraRef>& loras, Slot slot);

struct LoadedAdapter {
  std::string path;
  double strength = 1;
  std::shared_ptr<const AdapterFile> file;
};

/// The weights that a set of adapters makes of a component's pristine ones.
struct Overlay {
  WeightStore::Tensors changed;       ///< by the component's own names; all others are as they were
  std::vector<std::string> warnings;  ///< adapters' layers that the component does not have
};

/// Applies the adapters one after the other to the pristine weights, in f32 on `device`, and keeps
/// the results as `storage`. Nothing is ever taken back: another set begins with the pristine
/// weights again. INVALID_ARGUMENT names file, layer and shapes when an adapter does not fit, or
/// when none of the layers that it has for such a component is there (made for another family).
Result<Overlay> make_overlay(Slot slot, const HostWeights& pristine,
                             const std::vector<LoadedAdapter>& adapters, at::ScalarType storage,
                             at::Device device);

}  // namespace luna::worker
