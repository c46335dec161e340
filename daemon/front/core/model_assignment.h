#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/types/info.h"
#include "daemon/front/core/model_roots.h"

namespace luna::front {

/// Components that detection found, or why it found none, by absolute path.
using Inspected = std::map<std::string, Result<std::vector<ComponentInfo>>>;

/// Why one of the named files cannot be used.
struct ModelProblem {
  std::string place;  ///< "checkpoint", or the slot's name
  Status why;
};

/// A request with its files looked up: every path absolute.
struct LocatedModels {
  RequestedModels requested;  ///< those that were found
  std::vector<ModelProblem> problems;
  /// The distinct files, each to be inspected once.
  std::vector<std::string> files() const;
};
/// Looks every file up; a problem of one is what ModelRoots::find answers.
LocatedModels locate_models(const RequestedModels& requested, const ModelRoots& roots,
                            bool anywhere);

struct AssignedModels {
  ModelSet models;
  std::vector<ComponentInfo> components;  ///< in the order of the slots
};
/// Gives each slot its file: the checkpoint fills every slot that it has a component for, explicit
/// slots win, slot_precision overrides the checkpoint's.
///
/// One error names every file that was not found, could not be inspected or lacks the component of
/// its slot (says what it has), with the code of the first. INVALID_ARGUMENT also when
/// slot_precision names slots that nothing fills.
Result<AssignedModels> assign_models(const LocatedModels& located, const Inspected& inspected);

}  // namespace luna::front
