#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/config/config.h"
#include "common/types/host_weights.h"
#include "common/types/info.h"
#include "common/types/job.h"
#include "daemon/front/core/caller.h"
#include "daemon/front/core/clock.h"
#include "daemon/front/core/fingerprint.h"
#include "daemon/front/core/pool_load.h"
#include "daemon/front/core/worker_end.h"
#include "daemon/front/core/worker_port.h"

namespace luna::front {

class PlaneDesk;
class UploadStore;

/// The front's mind: workflow registry, model files below the roots, routing, admission, job table
/// with re-runs, sessions and resident tensors. Knows no gRPC, no socket, no process. Thread-safe;
/// callbacks may come from any thread, and never from inside the call that was given them while it
/// holds a lock.
class FrontCore {
 public:
  /// `clock` is for tests: leases and ages follow it (deadlines follow the machine's own). Roots
  /// that cannot be opened leave the core without any and an event that says so; ModelRoots::open
  /// tells beforehand. Without a `fingerprint` a poison request is known by its job alone, and
  /// begins anew when a client sends it again.
  explicit FrontCore(std::shared_ptr<const Config> config, Clock clock = {},
                     Fingerprinter fingerprint = {});
  ~FrontCore();

  /// Adapters that clients uploaded; thread-safe.
  UploadStore& uploads();
  /// Shared memory of sessions; thread-safe.
  PlaneDesk& planes();

  // --- workflows ---
  using WorkflowDone = std::function<void(Result<WorkflowInfo>)>;
  /// Looks files up and has a worker inspect them before it answers; all slots without a file in
  /// `requested` stay empty. INVALID_ARGUMENT for a bad id, PERMISSION_DENIED outside the roots,
  /// what detection says else.
  void register_workflow(const Caller& caller, std::string id, RequestedModels requested,
                         std::uint32_t ttl_seconds, bool preload, WorkflowDone done);
  Result<std::uint32_t> renew_workflow(const std::string& id);
  Status release_workflow(const std::string& id);
  std::vector<WorkflowInfo> list_workflows() const;

  // --- jobs ---
  /// Admits and routes a job of the caller's workflow. Resident tensors in the request are resolved
  /// here (NOT_FOUND, PERMISSION_DENIED); with `keep`, tensors of the reply become resident ones of
  /// the session. A refusal (RESOURCE_EXHAUSTED with a retry hint, unknown workflow, draining,
  /// deadline in the past, invalid shapes, a request that has ended two workers) comes through
  /// on_done too. Run again when a worker dies, [limits] max_reruns times at most.
  JobId submit(const Caller& caller, JobRequest request, JobEvents events);
  /// Harmless for a job that is done.
  void cancel(JobId job);

  // --- step sockets ---
  /// A connected socket to a worker that serves single evaluations of the caller's workflow without
  /// the front (local.proto: OpenSteps); the worker is chosen as for a job. Of LoRAs the
  /// evaluations may name these files alone. It ends with the session, with this registration (as
  /// long as it is used its lease lasts), with the worker, or when the client closes it.
  /// UNAVAILABLE while no worker is free; RESOURCE_EXHAUSTED beyond [limits]
  /// step_sockets_per_session; else as submit().
  Result<UniqueFd> open_steps(const Caller& caller, const std::vector<std::string>& lora_files);

  // --- models ---
  Result<std::vector<ModelFileInfo>> list_model_files(const Caller& caller,
                                                      const std::string& folder) const;
  /// Inspect, load, unload and restore go through submit() of an Inspect/Load/Unload/
  /// RestoreModelRequest; their `path` is what the client wrote and is resolved here. The last two
  /// are for all workers together; FAILED_PRECONDITION to unload a pinned file.

  /// No worker evicts or unloads what came from this file, now and after any restart; unloading it
  /// is refused. The file's absolute path. RESOURCE_EXHAUSTED beyond [limits] pinned_files.
  Result<std::string> pin_model(const Caller& caller, const std::string& file);
  /// NOT_FOUND for a file that is not pinned; one that is gone since may still be named in full.
  Result<std::string> unpin_model(const Caller& caller, const std::string& file);

  // --- sessions and resident tensors ---
  /// The new session's id; "" when there are as many as [limits] sessions allows. `host_id`:
  /// SessionHello's.
  std::string open_session(const std::string& client_name, const std::string& host_id = {});
  /// Frees everything that the session owns.
  void close_session(const std::string& session_id);
  Result<TensorRef> put_tensor(const Caller& caller, TensorSpec spec, BytesPtr bytes);
  /// The tensor with its bytes. NOT_FOUND, PERMISSION_DENIED (another session's).
  Result<TensorRef> get_tensor(const Caller& caller, const std::string& id) const;
  /// Resident tensors and leases of GPU memory: all or none.
  Result<std::uint64_t> free_tensors(const Caller& caller, const std::vector<std::string>& ids);

  // --- GPU memory ---
  /// Tensors.Allocate and leases in replies come through submit() of a LeaseCudaRequest; the client
  /// ends them with free_tensors. A ProveCudaRequest's reply names memory that a worker wrote a
  /// number into (`expected` is kept here and empty in the reply); this tells what the client read
  /// there. The GPUs that are proved for its session, this one among them, or FAILED_PRECONDITION
  /// for another number.
  Result<std::vector<std::string>> confirm_cuda(const Caller& caller, const std::string& lease_id,
                                                const std::string& nonce);

  // --- workers, as the supervisor sees them ---
  /// Before the first worker of a pool starts.
  void describe_pool(PoolInfo pool);
  PoolLoad pool_load(const std::string& pool) const;
  /// The worker gets no job any more, so that it can be stopped; false when it has some by now, or
  /// clients hold leases of its GPU memory.
  /// worker_given_up() forgets it.
  bool retire_worker(WorkerId id);
  void worker_starting(WorkerId id, std::string pool, std::int64_t pid);
  void worker_ready(std::shared_ptr<WorkerPort> port, std::string device);
  void worker_report(WorkerId id, WorkerReport report);
  void worker_steps_ended(WorkerId id, StepsId steps, std::uint64_t evaluations);
  /// The worker is gone, and its jobs have answered UNAVAILABLE through the port. That alone leaves
  /// them waiting: only what is said here, or a sign of life (worker_report, worker_starting),
  /// decides whether they are run again, alone, or refused. True when a request is convicted of
  /// this death, which is then none of the worker's faults. Until worker_given_up() it is taken to
  /// be started again.
  bool worker_gone(WorkerId id, const WorkerEnd& end);
  /// It stays down.
  void worker_given_up(WorkerId id);
  void add_event(std::string text);
  using Found = std::function<void(std::optional<HostWeights>)>;
  /// The host copy of a component, for a worker that would read it otherwise. While another worker
  /// reads it, the answer waits for what that one offers, for [memory] shared_read_wait_ms at most.
  /// With nullopt the worker reads the file, and offers the weights or says that it failed.
  void seek_weights(WorkerId worker, const ComponentSource& source, Found found);
  /// A worker read these. A refusal of the shelf is of no consequence and logged.
  void keep_weights(WorkerId worker, const ComponentSource& source, const HostWeights& weights);
  /// The worker could not read what it sought.
  void read_failed(WorkerId worker, const ComponentSource& source);

  // --- life ---
  StatusInfo status() const;
  /// No new jobs; `idle` is called once when the last one has ended.
  void drain(std::function<void()> idle);
  /// Answers every unfinished job with `why`, now; what workers answer later is dropped. For the
  /// end of a drain.
  void end_all(const Status& why);
  /// Expires leases, queued jobs' deadlines; called about once a second.
  void tick();
  /// Since the last job, session or call; for --idle-exit.
  std::chrono::nanoseconds idle_for() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace luna::front
