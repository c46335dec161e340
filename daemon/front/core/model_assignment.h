#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/types/info.h"
#include "daemon/front/core/model_roots.h"

namespace luna::front {

/// Components that detection found, by absolute path.
using Inspected = std::map<std::string, std::vector<ComponentInfo>>;

/// A request with its files looked up: every path absolute.
struct LocatedModels {
  RequestedModels requested;
  /// The distinct files, each to be inspected once.
  std::vector<std::string> files() const;
};
/// Looks every file up; errors as ModelRoots::find, with the slot's name before them.
Result<LocatedModels> locate_models(const RequestedModels& requested, const ModelRoots& roots,
                                    bool anywhere);

struct AssignedModels {
  ModelSet models;
  std::vector<ComponentInfo> components;  ///< in the order of the slots
};
/// Gives each slot its file: the checkpoint fills every slot that it has a component for, explicit
/// slots win, slot_precision overrides the checkpoint's. INVALID_ARGUMENT when a file lacks the
/// component of its slot (says what it has), or slot_precision names a slot that nothing fills.
Result<AssignedModels> assign_models(const LocatedModels& located, const Inspected& inspected);

}  // namespace luna::front
