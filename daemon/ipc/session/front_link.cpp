#include "daemon/ipc/session/front_link.h"

#include <map>
#include <mutex>

#include <unistd.h>

#include "common/local/descriptors.h"
#include "common/log/log.h"
#include "daemon/ipc/session/message_channel.h"

namespace luna::ipc {
namespace {

class FrontLinkOverSocket final : public FrontLink,
                                  public std::enable_shared_from_this<FrontLinkOverSocket> {
 public:
  FrontLinkOverSocket(std::shared_ptr<MessageChannel> channel, Handlers handlers)
      : channel_(std::move(channel)), handlers_(std::move(handlers)) {}

  void start() {
    send(WorkerToFrontHello{channel_->options().protocol_version, ::getpid()});
    channel_->start(
        {[self = shared_from_this()](Message message) { self->on_message(std::move(message)); },
         [self = shared_from_this()](Status reason) {
           self->answer_all_seeks();
           const Handlers handlers = std::exchange(self->handlers_, {});
           handlers.on_closed(std::move(reason));
         }});
  }

  void send_ready(Status status, std::string device) override {
    send(WorkerToFrontReady{std::move(status), std::move(device)});
  }
  void send_progress(JobId job, SampleProgress progress) override {
    send(WorkerToFrontProgress{job, std::move(progress)});
  }
  void send_done(JobId job, Result<JobReply> result) override {
    const bool had_result = result.ok();
    const Status sent = channel_->send(WorkerToFrontDone{job, std::move(result)});
    // A reply that passes the frame's limits still has to end the job.
    if (!sent.ok() && had_result)
      send(WorkerToFrontDone{job, sent.with_context("sending the result")});
  }
  void send_heartbeat(WorkerReport report) override {
    send(WorkerToFrontHeartbeat{std::move(report)});
  }
  void send_steps_ended(StepsId steps, std::uint64_t evaluations) override {
    send(WorkerToFrontStepsEnded{steps, evaluations});
  }
  void seek_weights(ComponentSource source, Found found) override {
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!closed_) {
        number = ++last_seek_;
        seeks_.emplace(number, found);
      }
    }
    if (number == 0) return found(std::nullopt);
    send(WorkerToFrontSeekWeights{number, std::move(source)});
  }
  void offer_weights(ComponentSource source, HostWeights weights) override {
    send(WorkerToFrontOfferWeights{std::move(source), std::move(weights)});
  }
  void tell_read_failed(ComponentSource source) override {
    send(WorkerToFrontReadFailed{std::move(source)});
  }
  void close_when_flushed() override { channel_->close_when_flushed(); }

 private:
  void send(const Message& message) {
    const Status sent = channel_->send(message);
    if (!sent.ok())
      log::logger("ipc").debug("a message to the front was not sent: {}", sent.to_string());
  }

  void on_message(Message message) {
    if (!welcomed_) {
      const auto* welcome = std::get_if<FrontToWorkerWelcome>(&message);
      if (welcome == nullptr) return channel_->refuse(message, "FrontToWorkerWelcome first");
      if (!channel_->agree_on_version(welcome->protocol_version)) return;
      welcomed_ = true;
      handlers_.on_welcome(welcome->worker, welcome->settings);
    } else if (auto* run = std::get_if<FrontToWorkerRun>(&message)) {
      handlers_.on_run(std::move(run->job));
    } else if (const auto* cancel = std::get_if<FrontToWorkerCancel>(&message)) {
      handlers_.on_cancel(cancel->job);
    } else if (std::holds_alternative<FrontToWorkerDrain>(message)) {
      handlers_.on_drain();
    } else if (auto* pins = std::get_if<FrontToWorkerPins>(&message)) {
      if (handlers_.on_pins) handlers_.on_pins(std::move(pins->paths));
    } else if (auto* open = std::get_if<FrontToWorkerOpenSteps>(&message)) {
      open_steps(std::move(*open));
    } else if (auto* release = std::get_if<FrontToWorkerReleaseLeases>(&message)) {
      if (handlers_.on_release_leases) handlers_.on_release_leases(std::move(release->lease_ids));
    } else if (auto* ended = std::get_if<FrontToWorkerEndSession>(&message)) {
      if (handlers_.on_end_session) handlers_.on_end_session(std::move(ended->session));
    } else if (auto* weights = std::get_if<FrontToWorkerWeights>(&message)) {
      answer_seek(weights->seek, std::move(weights->weights));
    } else {
      channel_->refuse(message, "a message from the front to a worker");
    }
  }

  void open_steps(FrontToWorkerOpenSteps open) {
    Result<UniqueFd> socket =
        open.socket && open.socket->fd() >= 0
            ? duplicate(open.socket->fd())
            : error(StatusCode::kInvalidArgument, "no descriptor came with it");
    if (socket.ok() && handlers_.on_open_steps)
      return handlers_.on_open_steps(std::move(open.opening), std::move(socket).value());
    log::logger("ipc").warn("step socket {} cannot be served: {}", open.opening.id.value,
                            socket.status().to_string());
    send_steps_ended(open.opening.id, 0);
  }

  void answer_seek(std::uint64_t number, std::optional<HostWeights> weights) {
    Found found;
    {
      const std::lock_guard lock(mutex_);
      const auto seek = seeks_.extract(number);
      if (seek.empty()) return;
      found = std::move(seek.mapped());
    }
    found(std::move(weights));
  }
  void answer_all_seeks() {
    std::map<std::uint64_t, Found> seeks;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      seeks.swap(seeks_);
    }
    for (const auto& [number, found] : seeks) found(std::nullopt);
  }

  std::shared_ptr<MessageChannel> channel_;
  Handlers handlers_;  ///< only on the executor; released when the link closes
  bool welcomed_ = false;

  std::mutex mutex_;  ///< guards all below
  bool closed_ = false;
  std::uint64_t last_seek_ = 0;
  std::map<std::uint64_t, Found> seeks_;
};

}  // namespace

std::shared_ptr<FrontLink> FrontLink::adopt(boost::asio::io_context& io, int fd, Handlers handlers,
                                            LinkOptions options) {
  options.handshake_timeout = {};
  auto link = std::make_shared<FrontLinkOverSocket>(MessageChannel::adopt(io, fd, options),
                                                    std::move(handlers));
  link->start();
  return link;
}

}  // namespace luna::ipc
