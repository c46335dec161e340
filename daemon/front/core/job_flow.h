#pragma once

#include <functional>
#include <memory>
#include <string>

#include "daemon/front/core/caller.h"
#include "daemon/front/core/deferred.h"
#include "daemon/front/core/front_state.h"

namespace luna::front {

/// The way of a job: admission, a worker, again another one when that dies, and the answer.
/// Thread-safe.
class JobFlow : public std::enable_shared_from_this<JobFlow> {
 public:
  using Receiver = std::function<void(Result<JobReply>)>;

  explicit JobFlow(std::shared_ptr<FrontState> state) : state_(std::move(state)) {}

  /// FrontCore::submit.
  JobId submit(const Caller& caller, JobRequest request, JobEvents events);
  /// A job of the front's own: no limits, no workflow; `models` as given. UNAVAILABLE when no
  /// worker will come.
  void submit_internal(const Caller& caller, JobRequest request, ModelSet models,
                       Receiver receiver);
  void cancel(JobId id);

  // Each of these is called with state->mutex held; calls out are left in `after`.
  void cancel_session_jobs(const std::string& session, Deferred& after);
  /// Gives queued jobs to workers as long as one has room, or ends them all when no worker will
  /// come.
  void dispatch(Deferred& after);
  void end_overdue(Deferred& after);
  void notice_idle(Deferred& after);

  /// Ends every job with `why`; nothing of theirs is called later.
  void abandon_all(const Status& why);

 private:
  Status admissible(const Caller& caller, const JobRequest& request) const;
  Status look_up_files(const Caller& caller, JobRequest& request) const;
  Status resolve_resident(const Caller& caller, JobRequest& request) const;
  Status admit(const Caller& caller, JobId id, JobRequest& request, JobEvents& events,
               Deferred& after);
  void refuse(const Status& why, JobEvents events);
  void unload_everywhere(const Caller& caller, const UnloadModelRequest& request, JobEvents events);

  void start(JobRecord& record, WorkerId worker, Deferred& after);
  void run(const std::shared_ptr<WorkerPort>& port, const std::shared_ptr<const Job>& job,
           std::uint32_t attempt);
  void on_progress(JobId id, std::uint32_t attempt, const SampleProgress& progress);
  void on_done(JobId id, std::uint32_t attempt, Result<JobReply> result);
  void request_cancel(JobRecord& record, Deferred& after);
  void finish(JobId id, Result<JobReply> result, Deferred& after);
  Result<JobReply> keep_tensors(const JobRecord& record, JobReply reply);

  std::shared_ptr<FrontState> state_;
};

}  // namespace luna::front
