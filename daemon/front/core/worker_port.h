#pragma once

#include "common/types/job.h"

namespace luna::front {

/// How the core reaches one worker; implemented over daemon/ipc by dispatch, and by fakes in tests.
class WorkerPort {
 public:
  virtual ~WorkerPort() = default;
  virtual WorkerId id() const = 0;
  /// on_done comes exactly once, with UNAVAILABLE when the worker dies.
  virtual void run(const Job& job, JobEvents events) = 0;
  virtual void cancel(JobId job) = 0;
};

}  // namespace luna::front
