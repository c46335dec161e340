#include "daemon/front/core/model_assignment.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

namespace luna::front {
namespace {

std::string contents_in_words(const std::vector<ComponentInfo>& components) {
  if (components.empty()) return "nothing that is known";
  std::vector<std::string> texts;
  for (const ComponentInfo& c : components) {
    texts.push_back(fmt::format("{} ({})", slot_name(c.slot), c.family));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

const std::vector<ComponentInfo>& components_of(const std::string& path,
                                                const Inspected& inspected) {
  static const std::vector<ComponentInfo> kNothing;
  const auto found = inspected.find(path);
  return found == inspected.end() ? kNothing : found->second;
}

}  // namespace

std::vector<std::string> LocatedModels::files() const {
  std::set<std::string> distinct;
  if (requested.checkpoint) distinct.insert(requested.checkpoint->path);
  for (const auto& [slot, model] : requested.slots) distinct.insert(model.path);
  return {distinct.begin(), distinct.end()};
}

Result<LocatedModels> locate_models(const RequestedModels& requested, const ModelRoots& roots,
                                    bool anywhere) {
  LocatedModels located{requested};
  if (ModelRef* checkpoint =
          located.requested.checkpoint ? &*located.requested.checkpoint : nullptr) {
    Result<std::string> path =
        roots.find(checkpoint->path, ModelRoots::checkpoint_kinds(), anywhere);
    if (!path.ok()) return path.status().with_context("checkpoint");
    checkpoint->path = *path;
  }
  for (auto& [slot, model] : located.requested.slots) {
    Result<std::string> path = roots.find(model.path, ModelRoots::kinds_of(slot), anywhere);
    if (!path.ok()) return path.status().with_context(slot_name(slot));
    model.path = *path;
  }
  return located;
}

Result<AssignedModels> assign_models(const LocatedModels& located, const Inspected& inspected) {
  const RequestedModels& requested = located.requested;
  std::map<Slot, std::pair<ModelRef, ComponentInfo>> filled;
  if (requested.checkpoint) {
    const auto& components = components_of(requested.checkpoint->path, inspected);
    if (components.empty()) {
      return error(StatusCode::kInvalidArgument,
                   "checkpoint '{}' holds no component of a known family",
                   requested.checkpoint->path);
    }
    for (const ComponentInfo& component : components) {
      filled.try_emplace(component.slot, *requested.checkpoint, component);
    }
  }
  for (const auto& [slot, model] : requested.slots) {
    const auto& components = components_of(model.path, inspected);
    const auto component = std::ranges::find(components, slot, &ComponentInfo::slot);
    if (component == components.end()) {
      return error(StatusCode::kInvalidArgument, "slot {} needs a {}, and '{}' holds {}",
                   slot_name(slot), slot_name(slot), model.path, contents_in_words(components));
    }
    filled.insert_or_assign(slot, std::pair(model, *component));
  }
  for (const auto& [slot, precision] : requested.slot_precision) {
    const auto entry = filled.find(slot);
    if (entry == filled.end()) {
      return error(StatusCode::kInvalidArgument,
                   "a precision is given for slot {}, which no file of the set fills",
                   slot_name(slot));
    }
    const auto explicit_model = requested.slots.find(slot);
    const bool said_already = explicit_model != requested.slots.end() &&
                              explicit_model->second.precision != Precision::kAuto;
    if (!said_already) entry->second.first.precision = precision;
  }
  AssignedModels assigned;
  for (const auto& [slot, entry] : filled) {
    assigned.models.slots.emplace(slot, entry.first);
    assigned.components.push_back(entry.second);
  }
  return assigned;
}

}  // namespace luna::front
