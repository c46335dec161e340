#pragma once

#include <functional>
#include <memory>

#include "common/base/status.h"
#include "common/base/unique_fd.h"
#include "common/types/job.h"
#include "common/types/report.h"
#include "common/types/steps.h"
#include "common/types/worker_settings.h"
#include "daemon/ipc/session/link_options.h"

namespace boost::asio {
class io_context;
}

namespace luna::ipc {

/// The front's end of one worker's control socket. Thread-safe. Handlers run on the io_context's
/// thread.
///
/// A job's events come from here: on_progress any number of times, then on_done exactly once, also
/// when the peer dies (UNAVAILABLE) or the deadline passes (DEADLINE_EXCEEDED, after asking the
/// worker to stop).
class WorkerLink {
 public:
  struct Handlers {
    std::function<void(Status ready, std::string device)> on_ready;
    std::function<void(const WorkerReport&)> on_heartbeat;
    /// The worker asks for the front's copy of a component. `found` may be called once, from any
    /// thread and at any time, and does nothing after the link's end. Without a handler there is no
    /// copy.
    using Found = std::function<void(std::optional<HostWeights>)>;
    std::function<void(const ComponentSource&, Found found)> on_seek_weights;
    std::function<void(const ComponentSource&, HostWeights)> on_offer_weights;
    std::function<void(const ComponentSource&)> on_read_failed;
    std::function<void(StepsId, std::uint64_t evaluations)> on_steps_ended;
    /// Once, after every unfinished job's on_done: the socket ended (UNAVAILABLE) or the peer broke
    /// the protocol; ok after close(). Watching the heartbeats is the owner's part.
    std::function<void(Status)> on_closed;
  };

  /// Takes over `fd` (a connected AF_UNIX stream socket). The handshake starts at once; jobs may be
  /// given right away and are sent after it. The link lives until it is closed, and not longer than
  /// `io`. FAILED_PRECONDITION in on_closed names both protocol versions if they differ.
  static std::shared_ptr<WorkerLink> adopt(boost::asio::io_context& io, int fd, WorkerId id,
                                           WorkerSettings settings, Handlers handlers,
                                           LinkOptions options = {});
  virtual ~WorkerLink() = default;

  virtual void run(const Job& job, JobEvents events) = 0;
  /// The job's on_done follows with CANCELLED (or its result, if that was faster), at the latest
  /// after the cancel grace.
  virtual void cancel(JobId job) = 0;
  /// FrontToWorkerPins. Before the handshake is over the last list waits for it.
  virtual void pin(std::vector<std::string> paths) = 0;
  /// FrontToWorkerOpenSteps: the worker serves `socket`. Before the handshake and after the link's
  /// end it is closed instead, which its peer sees.
  virtual void open_steps(StepsOpening opening, UniqueFd socket) = 0;
  /// FrontToWorkerReleaseLeases, FrontToWorkerEndSession. Of no consequence before the handshake is
  /// over: a worker that was given no job has neither.
  virtual void release_leases(std::vector<std::string> lease_ids) = 0;
  virtual void end_session(std::string session) = 0;
  virtual void drain() = 0;
  virtual void close() = 0;
};

}  // namespace luna::ipc
