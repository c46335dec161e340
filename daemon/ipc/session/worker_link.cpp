#include "daemon/ipc/session/worker_link.h"

#include <deque>
#include <mutex>

#include <boost/asio/post.hpp>

#include "common/local/descriptors.h"
#include "common/log/log.h"
#include "daemon/ipc/session/job_table.h"
#include "daemon/ipc/session/message_channel.h"

namespace luna::ipc {
namespace {

using EventsPtr = std::shared_ptr<const JobEvents>;

class WorkerLinkOverSocket final : public WorkerLink,
                                   public std::enable_shared_from_this<WorkerLinkOverSocket> {
 public:
  WorkerLinkOverSocket(std::shared_ptr<MessageChannel> channel, WorkerId id, Handlers handlers)
      : channel_(std::move(channel)),
        id_(id),
        handlers_(std::move(handlers)),
        expiry_timer_(channel_->executor()) {}

  void start(WorkerSettings settings);
  void run(const Job& job, JobEvents events) override;
  void cancel(JobId job) override;
  void pin(std::vector<std::string> paths) override;
  void open_steps(StepsOpening opening, UniqueFd socket) override;
  void release_leases(std::vector<std::string> lease_ids) override {
    send_when_open(FrontToWorkerReleaseLeases{std::move(lease_ids)});
  }
  void end_session(std::string session) override {
    send_when_open(FrontToWorkerEndSession{std::move(session)});
  }
  void drain() override;
  void close() override { channel_->close({}); }

 private:
  enum class Phase { kHandshake, kOpen, kClosed };

  void send_when_open(const Message& message) {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kOpen) (void)channel_->send(message);
  }

  // On the executor.
  void on_message(Message message);
  void on_hello(const WorkerToFrontHello& hello);
  void on_progress(const WorkerToFrontProgress& message);
  void on_done(WorkerToFrontDone message);
  void on_seek(const WorkerToFrontSeekWeights& question);
  void on_expiry();
  void on_closed(const Status& reason);

  // With the mutex.
  bool admit(const Job& job, const EventsPtr& events);
  void answer_later(EventsPtr events, Status status);
  void arm_expiry_timer();
  void send_run(JobId job, EncodedMessage message);
  Status unavailable(std::string_view why) const;

  std::shared_ptr<MessageChannel> channel_;
  const WorkerId id_;
  Handlers handlers_;                       ///< only on the executor; released when the link closes
  boost::asio::steady_timer expiry_timer_;  ///< only on the executor

  std::mutex mutex_;  ///< guards all below, and keeps a job's messages to the worker in order
  Phase phase_ = Phase::kHandshake;
  bool draining_ = false;
  Status closed_because_;
  JobTable jobs_;
  std::deque<Job> waiting_;  ///< given before the handshake was over
  std::optional<FrontToWorkerPins> waiting_pins_;
  JobTable::TimePoint armed_for_ = JobTable::TimePoint::max();
};

void WorkerLinkOverSocket::start(WorkerSettings settings) {
  const Status sent = channel_->send(
      FrontToWorkerWelcome{channel_->options().protocol_version, id_, std::move(settings)});
  if (!sent.ok()) {
    log::logger("ipc").warn("{}: welcome was not sent: {}", log::field(id_), sent.to_string());
  }
  channel_->start(
      {[self = shared_from_this()](Message message) { self->on_message(std::move(message)); },
       [self = shared_from_this()](const Status& reason) { self->on_closed(reason); }});
}

void WorkerLinkOverSocket::run(const Job& job, JobEvents events) {
  {
    const std::lock_guard lock(mutex_);
    if (!admit(job, std::make_shared<const JobEvents>(std::move(events)))) return;
    if (phase_ == Phase::kHandshake) {
      waiting_.push_back(job);
      return;
    }
  }
  EncodedMessage message = encode(FrontToWorkerRun{job});
  const std::lock_guard lock(mutex_);
  send_run(job.id, std::move(message));
}

/// Enters the job into the table, or answers it when it cannot be run.
bool WorkerLinkOverSocket::admit(const Job& job, const EventsPtr& events) {
  if (phase_ == Phase::kClosed) {
    answer_later(events, unavailable(closed_because_.message()));
  } else if (draining_) {
    answer_later(events, error(StatusCode::kUnavailable, "worker {} is draining", id_.value));
  } else if (job.deadline.expired()) {
    answer_later(events, error(StatusCode::kDeadlineExceeded,
                               "the deadline of job {} had passed before it began", job.id.value));
  } else if (waiting_.size() >= channel_->options().max_waiting_jobs) {
    answer_later(events, error(StatusCode::kResourceExhausted,
                               "{} jobs wait for worker {} to start; at most {} may",
                               waiting_.size(), id_.value, channel_->options().max_waiting_jobs));
  } else if (!jobs_.add(job.id, {events, false, false, job.deadline.at()})) {
    answer_later(events, error(StatusCode::kAlreadyExists, "job {} is already on worker {}",
                               job.id.value, id_.value));
  } else {
    arm_expiry_timer();
    return true;
  }
  return false;
}

/// Tells the worker of a job, unless it ended (cancelled, expired, link closed) in the meantime.
void WorkerLinkOverSocket::send_run(JobId job, EncodedMessage message) {
  JobTable::Entry* entry = jobs_.find(job);
  if (entry == nullptr) return;
  const Status sent = channel_->send(std::move(message));
  // A closed channel answers all jobs when on_closed() comes.
  if (sent.ok() || sent.code() == StatusCode::kUnavailable) {
    entry->sent = true;
  } else {
    answer_later(jobs_.take(job)->events, sent.with_context("sending the job to its worker"));
  }
}

void WorkerLinkOverSocket::cancel(JobId job) {
  const std::lock_guard lock(mutex_);
  JobTable::Entry* entry = jobs_.find(job);
  if (entry == nullptr || entry->cancelled) return;
  if (!entry->sent) {
    answer_later(jobs_.take(job)->events,
                 error(StatusCode::kCancelled, "job {} was cancelled before it began", job.value));
    std::erase_if(waiting_, [&](const Job& one) { return one.id == job; });
    return;
  }
  (void)channel_->send(FrontToWorkerCancel{job});
  entry->cancelled = true;
  jobs_.expire_by(job, Deadline::Clock::now() + channel_->options().cancel_grace);
  arm_expiry_timer();
}

void WorkerLinkOverSocket::pin(std::vector<std::string> paths) {
  const std::lock_guard lock(mutex_);
  FrontToWorkerPins pins{std::move(paths)};
  if (phase_ == Phase::kHandshake) {
    waiting_pins_ = std::move(pins);
  } else if (phase_ == Phase::kOpen) {
    (void)channel_->send(pins);
  }
}

void WorkerLinkOverSocket::open_steps(StepsOpening opening, UniqueFd socket) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kOpen) return;
  (void)channel_->send(
      FrontToWorkerOpenSteps{std::move(opening), descriptor_alone(std::move(socket))});
}

void WorkerLinkOverSocket::drain() {
  const std::lock_guard lock(mutex_);
  if (draining_ || phase_ == Phase::kClosed) return;
  draining_ = true;
  if (phase_ == Phase::kOpen) (void)channel_->send(FrontToWorkerDrain{});
}

void WorkerLinkOverSocket::on_message(Message message) {
  const auto* hello = std::get_if<WorkerToFrontHello>(&message);
  bool greeted = false;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kClosed) return;
    greeted = phase_ == Phase::kOpen;
  }
  if (!greeted) {
    if (hello == nullptr) return channel_->refuse(message, "WorkerToFrontHello first");
    on_hello(*hello);
  } else if (const auto* progress = std::get_if<WorkerToFrontProgress>(&message)) {
    on_progress(*progress);
  } else if (auto* done = std::get_if<WorkerToFrontDone>(&message)) {
    on_done(std::move(*done));
  } else if (const auto* heartbeat = std::get_if<WorkerToFrontHeartbeat>(&message)) {
    if (handlers_.on_heartbeat) handlers_.on_heartbeat(heartbeat->report);
  } else if (auto* ready = std::get_if<WorkerToFrontReady>(&message)) {
    if (handlers_.on_ready) handlers_.on_ready(std::move(ready->status), std::move(ready->device));
  } else if (const auto* question = std::get_if<WorkerToFrontSeekWeights>(&message)) {
    on_seek(*question);
  } else if (auto* offer = std::get_if<WorkerToFrontOfferWeights>(&message)) {
    if (handlers_.on_offer_weights) {
      handlers_.on_offer_weights(offer->source, std::move(offer->weights));
    }
  } else if (const auto* failure = std::get_if<WorkerToFrontReadFailed>(&message)) {
    if (handlers_.on_read_failed) handlers_.on_read_failed(failure->source);
  } else if (const auto* ended = std::get_if<WorkerToFrontStepsEnded>(&message)) {
    if (handlers_.on_steps_ended) handlers_.on_steps_ended(ended->steps, ended->evaluations);
  } else {
    channel_->refuse(message, "a message from a worker to the front");
  }
}

void WorkerLinkOverSocket::on_hello(const WorkerToFrontHello& hello) {
  if (!channel_->agree_on_version(hello.protocol_version)) return;
  const std::lock_guard lock(mutex_);
  phase_ = Phase::kOpen;
  if (waiting_pins_) (void)channel_->send(*std::exchange(waiting_pins_, std::nullopt));
  for (; !waiting_.empty(); waiting_.pop_front()) {
    const Job& job = waiting_.front();
    send_run(job.id, encode(FrontToWorkerRun{job}));
  }
  if (draining_) (void)channel_->send(FrontToWorkerDrain{});
}

void WorkerLinkOverSocket::on_progress(const WorkerToFrontProgress& message) {
  EventsPtr events;
  {
    const std::lock_guard lock(mutex_);
    if (const JobTable::Entry* entry = jobs_.find(message.job)) events = entry->events;
  }
  // Of a job that was given up, nobody waits for more.
  if (events && events->on_progress) events->on_progress(message.progress);
}

void WorkerLinkOverSocket::on_done(WorkerToFrontDone message) {
  std::optional<JobTable::Entry> entry;
  {
    const std::lock_guard lock(mutex_);
    entry = jobs_.take(message.job);
  }
  if (entry) entry->events->on_done(std::move(message.result));
}

void WorkerLinkOverSocket::on_seek(const WorkerToFrontSeekWeights& question) {
  Handlers::Found answer = [weak = weak_from_this(),
                            seek = question.seek](std::optional<HostWeights> weights) {
    if (const auto self = weak.lock()) {
      (void)self->channel_->send(FrontToWorkerWeights{seek, std::move(weights)});
    }
  };
  if (!handlers_.on_seek_weights) return answer(std::nullopt);
  handlers_.on_seek_weights(question.source, std::move(answer));
}

void WorkerLinkOverSocket::on_expiry() {
  std::vector<std::pair<JobId, JobTable::Entry>> expired;
  {
    const std::lock_guard lock(mutex_);
    armed_for_ = JobTable::TimePoint::max();
    expired = jobs_.take_expired(Deadline::Clock::now());
    for (const auto& [id, entry] : expired) {
      if (entry.sent && !entry.cancelled) (void)channel_->send(FrontToWorkerCancel{id});
      std::erase_if(waiting_, [id = id](const Job& job) { return job.id == id; });
    }
    arm_expiry_timer();
  }
  for (const auto& [id, entry] : expired) {
    entry.events->on_done(
        entry.cancelled
            ? error(StatusCode::kCancelled, "job {} was cancelled; worker {} did not confirm it",
                    id.value, id_.value)
            : error(StatusCode::kDeadlineExceeded, "the deadline of job {} passed on worker {}",
                    id.value, id_.value));
  }
}

/// Makes sure that on_expiry() runs when the first job expires.
void WorkerLinkOverSocket::arm_expiry_timer() {
  const JobTable::TimePoint next = jobs_.next_expiry();
  if (next >= armed_for_) return;
  armed_for_ = next;
  boost::asio::post(channel_->executor(), [self = shared_from_this(), next] {
    self->expiry_timer_.expires_at(next);
    self->expiry_timer_.async_wait(
        [weak = self->weak_from_this()](boost::system::error_code failure) {
          const auto link = weak.lock();
          if (!failure && link) link->on_expiry();
        });
  });
}

void WorkerLinkOverSocket::on_closed(const Status& reason) {
  std::vector<std::pair<JobId, JobTable::Entry>> unfinished;
  {
    const std::lock_guard lock(mutex_);
    phase_ = Phase::kClosed;
    closed_because_ =
        reason.ok() ? Status(StatusCode::kUnavailable, "its link was closed") : reason;
    unfinished = jobs_.take_all();
    waiting_.clear();
  }
  expiry_timer_.cancel();
  for (const auto& [id, entry] : unfinished) {
    entry.events->on_done(unavailable(closed_because_.message()));
  }
  const Handlers handlers = std::exchange(handlers_, {});
  if (handlers.on_closed) handlers.on_closed(reason);
}

void WorkerLinkOverSocket::answer_later(EventsPtr events, Status status) {
  boost::asio::post(channel_->executor(), [events = std::move(events), status = std::move(status)] {
    events->on_done(status);
  });
}

Status WorkerLinkOverSocket::unavailable(std::string_view why) const {
  return error(StatusCode::kUnavailable, "worker {} is gone: {}", id_.value, why);
}

}  // namespace

std::shared_ptr<WorkerLink> WorkerLink::adopt(boost::asio::io_context& io, int fd, WorkerId id,
                                              WorkerSettings settings, Handlers handlers,
                                              LinkOptions options) {
  auto link = std::make_shared<WorkerLinkOverSocket>(MessageChannel::adopt(io, fd, options), id,
                                                     std::move(handlers));
  link->start(std::move(settings));
  return link;
}

}  // namespace luna::ipc
