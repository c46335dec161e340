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

Result<std::vector<ComponentInfo>> components_of(const std::string& path,
                                                 const Inspected& inspected) {
  const auto found = inspected.find(path);
  return found == inspected.end() ? std::vector<ComponentInfo>() : found->second;
}

/// One line for all of them; files that fail alike are named together.
Status in_one(const std::vector<ModelProblem>& problems) {
  std::vector<ModelProblem> distinct;
  for (const ModelProblem& problem : problems) {
    const auto same = std::ranges::find(distinct, problem.why, &ModelProblem::why);
    if (same == distinct.end()) {
      distinct.push_back(problem);
    } else {
      same->place += ", " + problem.place;
    }
  }
  const Status& first = distinct.front().why;
  if (distinct.size() == 1) return first.with_context(distinct.front().place);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < distinct.size(); ++i) {
    texts.push_back(
        fmt::format("({}) {}: {}", i + 1, distinct[i].place, distinct[i].why.message()));
  }
  return error(first.code(), "{} of the named models cannot be used: {}", distinct.size(),
               fmt::join(texts, "; "));
}

}  // namespace

std::vector<std::string> LocatedModels::files() const {
  std::set<std::string> distinct;
  if (requested.checkpoint) distinct.insert(requested.checkpoint->path);
  for (const auto& [slot, model] : requested.slots) distinct.insert(model.path);
  return {distinct.begin(), distinct.end()};
}

LocatedModels locate_models(const RequestedModels& requested, const ModelRoots& roots,
                            bool anywhere) {
  LocatedModels located{requested, {}};
  if (requested.checkpoint) {
    Result<std::string> path =
        roots.find(requested.checkpoint->path, ModelRoots::checkpoint_kinds(), anywhere);
    if (path.ok()) {
      located.requested.checkpoint->path = *std::move(path);
    } else {
      located.problems.push_back({"checkpoint", path.status()});
      located.requested.checkpoint.reset();
    }
  }
  for (const auto& [slot, model] : requested.slots) {
    Result<std::string> path = roots.find(model.path, ModelRoots::kinds_of(slot), anywhere);
    if (path.ok()) {
      located.requested.slots.at(slot).path = *std::move(path);
    } else {
      located.problems.push_back({std::string(slot_name(slot)), path.status()});
      located.requested.slots.erase(slot);
    }
  }
  return located;
}

Result<AssignedModels> assign_models(const LocatedModels& located, const Inspected& inspected) {
  const RequestedModels& requested = located.requested;
  std::vector<ModelProblem> problems = located.problems;
  std::map<Slot, std::pair<ModelRef, ComponentInfo>> filled;
  if (requested.checkpoint) {
    const auto components = components_of(requested.checkpoint->path, inspected);
    if (!components.ok()) {
      problems.push_back({"checkpoint", components.status()});
    } else if (components->empty()) {
      problems.push_back({"checkpoint", error(StatusCode::kInvalidArgument,
                                              "'{}' holds no component of a known family",
                                              requested.checkpoint->path)});
    } else {
      for (const ComponentInfo& component : *components)
        filled.try_emplace(component.slot, *requested.checkpoint, component);
    }
  }
  for (const auto& [slot, model] : requested.slots) {
    const auto components = components_of(model.path, inspected);
    if (!components.ok()) {
      problems.push_back({std::string(slot_name(slot)), components.status()});
      continue;
    }
    const auto component = std::ranges::find(*components, slot, &ComponentInfo::slot);
    if (component == components->end()) {
      problems.push_back(
          {std::string(slot_name(slot)),
           error(StatusCode::kInvalidArgument, "the slot needs a {}, and '{}' holds {}",
                 slot_name(slot), model.path, contents_in_words(*components))});
      continue;
    }
    filled.insert_or_assign(slot, std::pair(model, *component));
  }
  if (!problems.empty()) return in_one(problems);

  std::vector<std::string_view> empty;
  for (const auto& [slot, precision] : requested.slot_precision) {
    const auto entry = filled.find(slot);
    if (entry == filled.end()) {
      empty.push_back(slot_name(slot));
      continue;
    }
    const auto explicit_model = requested.slots.find(slot);
    const bool said_already = explicit_model != requested.slots.end() &&
                              explicit_model->second.precision != Precision::kAuto;
    if (!said_already) entry->second.first.precision = precision;
  }
  if (!empty.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "a precision is given for slot {}, which no file of the set fills",
                 fmt::join(empty, ", "));
  }
  AssignedModels assigned;
  for (const auto& [slot, entry] : filled) {
    assigned.models.slots.emplace(slot, entry.first);
    assigned.components.push_back(entry.second);
  }
  return assigned;
}

}  // namespace luna::front
