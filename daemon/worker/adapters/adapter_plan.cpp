#include "daemon/worker/adapters/adapter_plan.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "daemon/worker/adapters/adapter_names.h"
#include "daemon/worker/layers/adapter_rows.h"

namespace luna::worker {
namespace {

constexpr std::size_t kNamedLayers = 5;

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

/// Adds one adapter to a plan.
class Planner {
 public:
  Planner(Slot slot, const AdapterNames& names, const TensorDirectory& component, AdapterPlan& plan)
      : slot_(slot), names_(names), component_(component), plan_(plan) {}

  Status add(const LoadedAdapter& adapter) {
    std::vector<std::string> strangers;
    std::size_t known = 0;
    for (const auto& [name, layer] : adapter.file->layers) {
      const AdapterNames::Place* own = names_.find(name);
      if (!own) {
        if (AdapterNames::is_meant_for(slot_, name)) strangers.push_back(name);
        continue;
      }
      ++known;
      for (const auto& [change, which] :
           {std::pair(layer.weight, ".weight"), std::pair(layer.bias, ".bias")}) {
        if (!change) continue;
        if (!component_.has(tensor_of(*own, which))) {
          strangers.push_back(name + which);
          continue;
        }
        LUNA_RETURN_IF_ERROR(add_change(adapter.use, name, *own, *change, which));
      }
    }
    if (strangers.empty()) return {};
    if (known == 0) {
      return error(StatusCode::kInvalidArgument,
                   "{}: none of its {} layers for a {} is in this one, so it was made for another "
                   "family of models; the first are {}",
                   adapter.use.path, strangers.size(), slot_name(slot_), some_of(strangers));
    }
    plan_.warnings.push_back(fmt::format(
        "{}: {} of its {} layers for a {} are not in this one: {}", adapter.use.path,
        strangers.size(), strangers.size() + known, slot_name(slot_), some_of(strangers)));
    return {};
  }

 private:
  static std::string tensor_of(const AdapterNames::Place& own, const char* which) {
    return own.transposed ? own.layer : own.layer + which;
  }

  Status add_change(const AdapterUse& use, const std::string& name, const AdapterNames::Place& own,
                    const WeightChange& change, const char* which) {
    const std::string weight = tensor_of(own, which);
    const std::string from = fmt::format("{}, layer '{}'", use.path, name);
    const std::vector<std::int64_t>& whole = component_.tensors.at(weight).shape;
    std::vector<std::int64_t> shape = whole;
    if (!shape.empty()) shape[0] /= own.parts;
    if (own.transposed) std::ranges::reverse(shape);
    LUNA_RETURN_IF_ERROR(change.fits(shape).with_context(from));
    const double strength = use.strength * block_strength(use.blocks, own.layer);
    if (strength == 0) return {};
    plan_.shapes.emplace(weight, whole);
    plan_.changes[weight].push_back({&change, strength, own.part, own.parts, own.transposed, from});
    return {};
  }

  const Slot slot_;
  const AdapterNames& names_;
  const TensorDirectory& component_;
  AdapterPlan& plan_;
};

}  // namespace

std::vector<AdapterUse> adapter_uses(const std::vector<LoraRef>& loras, Slot slot) {
  std::vector<AdapterUse> uses;
  for (const LoraRef& lora : loras) {
    const double strength = slot == Slot::kUNet ? lora.model_strength : lora.clip_strength;
    if (strength != 0) uses.push_back({lora.path, strength, lora.block_strengths});
  }
  return uses;
}

Result<AdapterPlan> AdapterPlan::make(Slot slot, const HostWeights& component,
                                      const std::vector<LoadedAdapter>& adapters) {
  const TensorDirectory directory = directory_of(component);
  LUNA_ASSIGN_OR_RETURN(const AdapterNames names, AdapterNames::of(slot, directory));
  AdapterPlan plan;
  Planner planner(slot, names, directory, plan);
  for (const LoadedAdapter& adapter : adapters) LUNA_RETURN_IF_ERROR(planner.add(adapter));
  return plan;
}

}  // namespace luna::worker
