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

/// The worker's end of its control socket. Sending is thread-safe and never blocks on the peer for
/// longer than the socket's buffer allows (frames queue up to 256 MiB, then the link closes).
/// Handlers run on the io_context's thread.
class FrontLink {
 public:
  struct Handlers {
    std::function<void(WorkerId, const WorkerSettings&)> on_welcome;
    std::function<void(Job)> on_run;
    std::function<void(JobId)> on_cancel;
    std::function<void()> on_drain;
    std::function<void(std::vector<std::string> paths)> on_pins;
    /// The front is gone: a worker exits at once. Ok after close_when_flushed().
    std::function<void(Status)> on_closed;
    std::function<void(std::vector<std::string> lease_ids)> on_release_leases;
    std::function<void(std::string session)> on_end_session;
    std::function<void(StepsOpening, UniqueFd socket)> on_open_steps;
  };

  static std::shared_ptr<FrontLink> adopt(boost::asio::io_context& io, int fd, Handlers handlers,
                                          LinkOptions options = {});
  virtual ~FrontLink() = default;

  virtual void send_ready(Status status, std::string device) = 0;
  virtual void send_progress(JobId job, SampleProgress progress) = 0;
  virtual void send_done(JobId job, Result<JobReply> result) = 0;
  virtual void send_heartbeat(WorkerReport report) = 0;
  virtual void send_steps_ended(StepsId steps, std::uint64_t evaluations) = 0;

  using Found = std::function<void(std::optional<HostWeights>)>;
  /// Asks the front for its copy of a component. `found` comes once, on the io_context's thread;
  /// nullopt also when the link closes first. After nullopt one of the next two ends the seek.
  virtual void seek_weights(ComponentSource source, Found found) = 0;
  virtual void offer_weights(ComponentSource source, HostWeights weights) = 0;
  virtual void tell_read_failed(ComponentSource source) = 0;

  /// After everything queued so far was written, at the latest after 5 s.
  virtual void close_when_flushed() = 0;
};

}  // namespace luna::ipc
