#pragma once

#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/types/job.h"
#include "common/types/steps.h"

namespace luna::front {

/// Unfinished jobs that the core gives one worker at a time; the rest wait in the front. Large
/// enough that the worker's batcher sees every row there is, and below what a worker accepts
/// (WorkerSettings).
inline constexpr std::uint32_t kJobsPerWorker = 192;

/// How the core reaches one worker; implemented over daemon/ipc by dispatch, and by fakes in tests.
class WorkerPort {
 public:
  virtual ~WorkerPort() = default;
  virtual WorkerId id() const = 0;
  /// on_done comes exactly once, with UNAVAILABLE when the worker dies.
  virtual void run(const Job& job, JobEvents events) = 0;
  virtual void cancel(JobId job) = 0;
  /// The files whose components it never evicts or unloads, all of them.
  virtual void pin(const std::vector<std::string>& paths) = 0;
  /// It serves `socket`, which is closed when it does not.
  virtual void open_steps(StepsOpening opening, UniqueFd socket) = 0;
  /// Leases of its outbox (its own names) that nobody needs any more, and a session that is over.
  virtual void release_leases(const std::vector<std::string>& lease_ids) = 0;
  virtual void end_session(const std::string& session) = 0;
};

}  // namespace luna::front
