#pragma once

#include <functional>
#include <string>

#include "common/types/job.h"

namespace luna::front {

/// A text that two jobs share exactly when they would compute the same: models, tensors by content,
/// run data and seeds count; id, workflow, priority, deadline and what becomes of the result do
/// not. Implemented by dispatch over the encoding of daemon/ipc. Reads every byte of the request
/// and looks at files, so it is not called under a lock. Thread-safe.
using Fingerprinter = std::function<std::string(const Job&)>;

}  // namespace luna::front
