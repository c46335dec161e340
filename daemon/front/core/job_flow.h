#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

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
  /// come. A suspect goes first, alone on a worker.
  void dispatch(Deferred& after);
  /// The worker lives after all, or lives again: jobs that it answered UNAVAILABLE are run again.
  void requeue_orphans(WorkerId worker, Deferred& after);
  void end_overdue(Deferred& after);
  void notice_idle(Deferred& after);

  /// Whether a call of this kind may come in now; with state->mutex held.
  Status admissible(const Caller& caller, const JobRequest& request) const;
  /// Absolute paths in place of what the client wrote.
  Status look_up_files(const Caller& caller, JobRequest& request) const;

  /// FrontCore::worker_gone.
  bool worker_gone(WorkerId id, const WorkerEnd& end);

  /// Tells workers of leases that nobody needs any more.
  void release(const CudaTable::Releases& releases, Deferred& after);
  void end_session_on_devices(const std::string& session, Deferred& after);

  /// Ends every job with `why`; nothing of theirs is called later.
  void abandon_all(const Status& why);

 private:
  /// Why no worker will ever take a job of this role: FAILED_PRECONDITION, UNAVAILABLE.
  Status workers_for(std::optional<Role> role) const;
  /// Resident tensors and regions of the session become the bytes that they stand for.
  Status resolve_places(const Caller& caller, JobRequest& request) const;
  Status admit(const Caller& caller, JobId id, JobRequest& request, JobEvents& events);
  /// Puts a record in the queue, unless its request is refused; then the record is left as it was.
  Status enter(JobRecord& record);
  void refuse(const Status& why, JobEvents events);
  /// One job for each ready worker, answered together.
  void run_everywhere(const Caller& caller, const JobRequest& request, JobEvents events);
  Result<JobReply> together(const JobRequest& request, std::vector<Result<JobReply>> replies);

  void start(JobRecord& record, WorkerId worker, Deferred& after);
  void dispatch_suspect(Deferred& after);
  // `run_number` tells one run of a job from a later one, whose events count no more.
  void run(const std::shared_ptr<WorkerPort>& port, const std::shared_ptr<const Job>& job,
           std::uint32_t run_number);
  void on_progress(JobId id, std::uint32_t run_number, const SampleProgress& progress);
  void on_done(JobId id, std::uint32_t run_number, const std::shared_ptr<WorkerPort>& port,
               Result<JobReply> result);
  void on_unavailable(JobRecord& record, const Status& why, Deferred& after);
  /// A job that a death met and that is not to blame for it: again, or given up.
  void run_again(JobRecord& record, const std::string& why, Deferred& after);
  void request_cancel(JobRecord& record, Deferred& after);
  void finish(JobId id, Result<JobReply> result, Deferred& after);

  /// A job that was on a worker which has died.
  struct Victim {
    std::shared_ptr<const Job> job;
    std::string fingerprint;
  };
  /// Who is to blame for the end, and who is suspected; true when a request is convicted. The
  /// convicted one is answered; the others are left to be run again.
  bool judge(const std::vector<Victim>& victims, const WorkerEnd& end, Deferred& after);
  void convict(const std::string& fingerprint, Deferred& after);

  // job_devices.cpp:
  /// Handles as PyTorch has them become the driver's own.
  static Status plain_handles(JobRequest& request);
  /// Which GPU the call needs, and whether its results stay there. FAILED_PRECONDITION without a
  /// session, for a device that was not proved or that no worker is on (names those there are);
  /// what CudaTable::check says of leases; INVALID_ARGUMENT for memory of two devices.
  Status choose_device(const Caller& caller, JobRequest& request, JobRecord& record) const;
  Status place_results(const Caller& caller, const JobRequest& request, JobRecord& record) const;
  Status no_device(const Seat& seat) const;
  /// Queued jobs whose device has no worker any more, or that read what is lost.
  void end_lost_devices(Deferred& after);
  /// The leases in a reply become the session's; when that fails none is left.
  Result<JobReply> name_leases(const JobRecord& record, JobReply reply, Deferred& after);
  /// A result that nobody waits for any more.
  static void give_back(const std::shared_ptr<WorkerPort>& port, Result<JobReply>& result);

  Result<JobReply> keep_tensors(const JobRecord& record, JobReply reply);

  std::shared_ptr<FrontState> state_;
};

}  // namespace luna::front
