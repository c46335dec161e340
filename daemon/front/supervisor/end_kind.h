#pragma once

#include <optional>

#include "daemon/front/core/worker_end.h"
#include "daemon/front/supervisor/child_process.h"

namespace luna::front {

/// What the supervisor knows of a worker's end beside how its process ended.
struct EndCircumstances {
  /// Set when the supervisor killed it: of which kind that makes the end, and why.
  std::optional<WorkerEnd> put_down;
  bool asked = false;          ///< it was told to drain, or the daemon ends
  bool out_of_memory = false;  ///< the kernel killed something for memory lately (OomWatch)
};

/// Tells the kinds of death apart. A signal that a process gets for what it did itself (SIGSEGV,
/// SIGABRT, SIGBUS, SIGFPE, SIGILL ...) is a crash whatever else happened, since a worker that
/// writes a core dump looks hung; a SIGKILL is ours, the kernel's or somebody's, in this order.
WorkerEnd end_kind(const ProcessEnd& end, const EndCircumstances& circumstances);

}  // namespace luna::front
