#include "daemon/worker/adapters/overlay.h"

#include <algorithm>
#include <map>

#include <fmt/ranges.h>

#include "daemon/worker/adapters/adapter_names.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/weights/weight_loader.h"

namespace luna::worker {
namespace {

constexpr std::size_t kNamedLayers = 5;

struct Step {
  const WeightChange* change = nullptr;
  double strength = 1;
  int part = 0, parts = 1;  ///< of the weight's rows
  bool transposed = false;
  std::string from;  ///< for messages: file and layer

  Status fits(std::vector<std::int64_t> shape) const {
    if (!shape.empty()) shape[0] /= parts;
    if (transposed) std::ranges::reverse(shape);
    return change->fits(shape).with_context(from);
  }
  at::Tensor apply(at::Tensor weight) const {
    if (transposed) return change->apply(weight.t().contiguous(), strength).t().contiguous();
    if (parts == 1) return change->apply(std::move(weight), strength);
    const std::int64_t rows = weight.size(0) / parts;
    at::Tensor slice = weight.narrow(0, part * rows, rows);
    slice.copy_(change->apply(slice.clone(), strength));
    return weight;
  }
};
using Steps = std::map<std::string, std::vector<Step>>;

TensorDirectory directory_of(const HostWeights& weights) {
  TensorDirectory directory;
  directory.metadata = weights.metadata;
  for (const HostTensor& tensor : weights.tensors)
    directory.tensors.emplace(tensor.name, tensor.spec);
  return directory;
}

std::string some_of(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kNamedLayers);
  const std::vector<std::string> first(names.begin(), names.begin() + static_cast<long>(shown));
  return fmt::format("{}{}", fmt::join(first, ", "), shown < names.size() ? ", ..." : "");
}

/// Adds what the adapter changes to `steps`, and a line to `warnings` for what it cannot.
Status plan(Slot slot, const LoadedAdapter& adapter, const AdapterNames& names,
            const TensorDirectory& component, Steps& steps, std::vector<std::string>& warnings) {
  std::vector<std::string> strangers;
  std::size_t known = 0;
  for (const auto& [name, layer] : adapter.file->layers) {
    const AdapterNames::Place* own = names.find(name);
    if (!own) {
      if (AdapterNames::is_meant_for(slot, name)) strangers.push_back(name);
      continue;
    }
    ++known;
    const auto change = [&](const WeightChangePtr& by, const char* which) {
      const std::string weight = own->transposed ? own->layer : own->layer + which;
      if (!by) return;
      if (!component.has(weight)) return strangers.push_back(name + which);
      steps[weight].push_back({by.get(), adapter.strength, own->part, own->parts, own->transposed,
                               fmt::format("{}, layer '{}'", adapter.path, name)});
    };
    change(layer.weight, ".weight");
    change(layer.bias, ".bias");
  }
  if (strangers.empty()) return {};
  if (known == 0) {
    return error(StatusCode::kInvalidArgument,
                 "{}: none of its {} layers for a {} is in this one, so it was made for another "
                 "family of models; the first are {}",
                 adapter.path, strangers.size(), slot_name(slot), some_of(strangers));
  }
  warnings.push_back(fmt::format("{}: {} of its {} layers for a {} are not in this one: {}",
                                 adapter.path, strangers.size(), strangers.size() + known,
                                 slot_name(slot), some_of(strangers)));
  return {};
}

}  // namespace

std::vector<AdapterUse> adapter_uses(const std::vector<LoraRef>& loras, Slot slot) {
  std::vector<AdapterUse> uses;
  for (const LoraRef& lora : loras) {
    const double strength = slot == Slot::kUNet ? lora.model_strength : lora.clip_strength;
    if (strength != 0) uses.push_back({lora.path, strength});
  }
  return uses;
}

Result<Overlay> make_overlay(Slot slot, const HostWeights& pristine,
                             const std::vector<LoadedAdapter>& adapters, at::ScalarType storage,
                             at::Device device) {
  const TensorDirectory component = directory_of(pristine);
  LUNA_ASSIGN_OR_RETURN(const AdapterNames names, AdapterNames::of(slot, component));
  Overlay overlay;
  Steps steps;
  for (const LoadedAdapter& adapter : adapters) {
    LUNA_RETURN_IF_ERROR(plan(slot, adapter, names, component, steps, overlay.warnings));
  }
  for (const auto& [name, changes] : steps) {
    for (const Step& step : changes) {
      LUNA_RETURN_IF_ERROR(step.fits(component.tensors.at(name).shape));
    }
    LUNA_ASSIGN_OR_RETURN(at::Tensor changed, torch_call(fmt::format("adapting '{}'", name), [&] {
                            at::Tensor weight = pristine_f32(pristine, name, device);
                            for (const Step& step : changes) weight = step.apply(std::move(weight));
                            return weight.to(storage);
                          }));
    overlay.changed.emplace(name, std::move(changed));
  }
  return overlay;
}

}  // namespace luna::worker
