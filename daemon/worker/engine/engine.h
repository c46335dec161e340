#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/types/job.h"
#include "common/types/report.h"
#include "common/types/worker_settings.h"
#include "daemon/worker/ops/bytes_maker.h"
#include "daemon/worker/ops/device_plane.h"
#include "daemon/worker/ops/tensor_ref.h"
#include "daemon/worker/weights/host_copies.h"

namespace luna::worker {

/// Runs jobs on one device: a device thread that alternates between resuming trajectories and
/// running the next forward of the row batcher. Knows no ipc; a test uses it in its own process.
class Engine {
 public:
  /// Opens the device and the tokenizer. Errors say what is missing. `make_bytes` makes the bytes
  /// of results; `copies` (nullptr: none) keeps weights beyond this process; `plane` (nullptr: all
  /// tensors pass through the host) is that of the device.
  static Result<std::unique_ptr<Engine>> open(const WorkerSettings& settings,
                                              BytesMaker make_bytes = make_heap_bytes,
                                              std::shared_ptr<HostCopies> copies = nullptr,
                                              std::unique_ptr<DevicePlane> plane = nullptr);
  /// Ends with the piece of work that runs; jobs that are left are answered with UNAVAILABLE.
  virtual ~Engine() = default;

  /// Takes the job; its events come from the device thread, on_done exactly once. A job that is
  /// refused (queue full, draining, a number in use) is answered at once on the calling thread.
  /// `make_bytes`, where there is one, makes this job's results instead of the engine's own.
  virtual void run(Job job, JobEvents events, BytesMaker make_bytes) = 0;
  void run(Job job, JobEvents events) { run(std::move(job), std::move(events), {}); }
  /// Acts between evaluations: on_done with CANCELLED follows.
  virtual void cancel(JobId job) = 0;
  /// The files whose components are never evicted or unloaded; replaces the former ones.
  virtual void pin(const std::vector<std::string>& paths) = 0;
  /// Ends leases of the device's outbox; jobs that use them keep them until their end.
  virtual void release_leases(std::vector<std::string>) {}
  /// The session's leases and what it alone had brought in.
  virtual void end_session(std::string) {}
  /// Takes nothing new; `idle` is called when the last job has ended.
  virtual void drain(std::function<void()> idle) = 0;
  /// Calls `call` on the device thread, between two pieces of work; not after the engine's end.
  virtual void post(std::function<void()> call) = 0;
  /// From then on `ready` is called on the device thread, between two pieces of work, whenever one
  /// of `events` (POLLIN, POLLOUT) or the peer's end is there, until unwatch() or another watch()
  /// of it. Both only on the device thread. `ready` must take what is there and do little else:
  /// everybody's work waits for it.
  virtual void watch(int fd, short events, std::function<void()> ready) = 0;
  virtual void unwatch(int fd) = 0;
  /// Cheap and never waits for a forward.
  virtual WorkerReport report() const = 0;
  virtual std::string device_description() const = 0;
  /// Whether the device answers nothing any more, as after an illegal access on a GPU: then every
  /// further job would fail, and only a new process helps. Waits for the device; to be asked after
  /// an INTERNAL failure.
  virtual bool device_failed() const { return false; }
};

}  // namespace luna::worker
