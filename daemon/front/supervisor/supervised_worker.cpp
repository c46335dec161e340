#include "daemon/front/supervisor/supervised_worker.h"

#include <utility>

#include <signal.h>

#include "common/log/log.h"
#include "daemon/front/supervisor/end_kind.h"

namespace luna::front {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

/// How long a process may outlive its control socket, and the socket its process.
constexpr milliseconds kPartingTime{2000};

/// A worker that answers its start with one of these would answer so again.
bool is_permanent(StatusCode code) {
  return code == StatusCode::kInvalidArgument || code == StatusCode::kNotFound ||
         code == StatusCode::kFailedPrecondition || code == StatusCode::kUnimplemented;
}

}  // namespace

SupervisedWorker::SupervisedWorker(boost::asio::io_context& io, FrontCore& core, Setup setup)
    : io_(io),
      core_(core),
      setup_(std::move(setup)),
      policy_(setup_.config),
      timer_(io),
      stop_timer_(io) {}

void SupervisedWorker::start() {
  if (stopping_) return;
  ++life_;
  end_.reset();
  put_down_.reset();
  oom_.reset();
  ready_since_.reset();
  if (Status status = spawn(); !status.ok()) {
    core_.worker_starting(setup_.id, setup_.placement.pool, 0);
    after_death({WorkerEnd::Kind::kCrash, status.message()});
    return;
  }
  state_ = State::kStarting;
  oom_.emplace(OomWatch::counter_of(process_->pid()), SteadyClock::now());
  core_.worker_starting(setup_.id, setup_.placement.pool, process_->pid());
  log::logger("supervisor")
      .info("{} starts on {}, pid {}", log::field(setup_.id), setup_.placement.settings.device,
            process_->pid());
  expect_within(milliseconds(setup_.config.start_timeout_ms),
                fmt::format("not ready within {} ms", setup_.config.start_timeout_ms));
}

Status SupervisedWorker::spawn() {
  const auto self = weak_from_this();
  const std::uint64_t life = life_;
  LUNA_ASSIGN_OR_RETURN(
      StartedWorker started,
      setup_.processes->take(setup_.placement.settings.threads, [self, life](ProcessEnd end) {
        if (const auto worker = self.lock()) worker->on_process_end(life, end);
      }));
  process_ = std::move(started.process);
  ipc::WorkerLink::Handlers handlers;
  handlers.on_ready = [self, life](const Status& status, std::string device) {
    if (const auto worker = self.lock()) worker->on_ready(life, status, std::move(device));
  };
  handlers.on_heartbeat = [self, life](const WorkerReport& report) {
    if (const auto worker = self.lock()) worker->on_heartbeat(life, report);
  };
  handlers.on_seek_weights = [&core = core_, id = setup_.id](const ComponentSource& source,
                                                             FrontCore::Found found) {
    core.seek_weights(id, source, std::move(found));
  };
  handlers.on_read_failed = [&core = core_, id = setup_.id](const ComponentSource& source) {
    core.read_failed(id, source);
  };
  handlers.on_steps_ended = [&core = core_, id = setup_.id](StepsId steps,
                                                            std::uint64_t evaluations) {
    core.worker_steps_ended(id, steps, evaluations);
  };
  handlers.on_offer_weights = [&core = core_, id = setup_.id](const ComponentSource& source,
                                                              const HostWeights& weights) {
    core.keep_weights(id, source, weights);
  };
  handlers.on_closed = [self, life](const Status& why) {
    if (const auto worker = self.lock()) worker->on_link_closed(life, why);
  };
  link_open_ = true;
  link_ = ipc::WorkerLink::adopt(io_, started.control.release(), setup_.id,
                                 setup_.placement.settings, std::move(handlers));
  return {};
}

void SupervisedWorker::on_ready(std::uint64_t life, const Status& status, std::string device) {
  if (life != life_ || state_ != State::kStarting) return;
  if (!status.ok()) {
    for_good_ = is_permanent(status.code());
    put_down(WorkerEnd::Kind::kCrash, status.message());
    return;
  }
  state_ = State::kReady;
  ready_since_ = heard_ = SteadyClock::now();
  log::logger("supervisor").info("{} is ready: {}", log::field(setup_.id), device);
  watch_heartbeats();
  core_.worker_ready(setup_.make_port(setup_.id, link_), std::move(device));
}

void SupervisedWorker::on_heartbeat(std::uint64_t life, const WorkerReport& report) {
  if (life != life_) return;
  heard_ = SteadyClock::now();
  const std::uint64_t limit = setup_.config.step_timeout_ms;
  if (limit > 0 && report.step_in_progress_ms > limit) {
    put_down(WorkerEnd::Kind::kHang, fmt::format("a step has run for {} ms, longer than {} ms",
                                                 report.step_in_progress_ms, limit));
    return;
  }
  core_.worker_report(setup_.id, report);
}

void SupervisedWorker::watch_heartbeats() {
  const milliseconds interval(setup_.config.heartbeat_ms);
  timer_.expires_after(interval);
  timer_.async_wait([weak = weak_from_this(), life = life_, due = SteadyClock::now() + interval,
                     interval](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self || self->life_ != life || self->state_ != State::kReady) return;
    const auto now = SteadyClock::now();
    self->oom_->sample(now);
    // A front that was stopped itself has not read what came meanwhile.
    if (now - due > 2 * interval) self->heard_ = now;
    const milliseconds limit(self->setup_.config.heartbeat_timeout_ms);
    if (now - self->heard_ > limit) {
      self->put_down(WorkerEnd::Kind::kHang, fmt::format("no heartbeat for {} ms", limit.count()));
      return;
    }
    self->watch_heartbeats();
  });
}

void SupervisedWorker::expect_within(milliseconds wait, std::string complaint) {
  timer_.expires_after(wait);
  timer_.async_wait([weak = weak_from_this(), life = life_, state = state_,
                     complaint = std::move(complaint)](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self || self->life_ != life || self->state_ != state) return;
    self->put_down(self->stopping_ ? WorkerEnd::Kind::kAsked : WorkerEnd::Kind::kHang, complaint);
    if (self->end_ && self->link_open_) self->link_->close();
  });
}

void SupervisedWorker::put_down(WorkerEnd::Kind kind, std::string why) {
  // A process that has ended was not put down.
  if (!put_down_ && !end_) put_down_ = WorkerEnd{kind, std::move(why)};
  if (process_) process_->signal(SIGKILL);
}

void SupervisedWorker::on_link_closed(std::uint64_t life, const Status& why) {
  if (life != life_) return;
  link_open_ = false;
  if (!end_) {
    if (why.code() == StatusCode::kInvalidArgument ||
        why.code() == StatusCode::kFailedPrecondition ||
        why.code() == StatusCode::kResourceExhausted) {
      put_down(WorkerEnd::Kind::kCrash, why.message());
    }
    state_ = State::kEnding;
    expect_within(kPartingTime, "it did not end with its socket");
  }
  end_life_when_all_gone();
}

void SupervisedWorker::on_process_end(std::uint64_t life, ProcessEnd end) {
  if (life != life_) return;
  end_ = end;
  if (link_open_) {
    // What the worker answered before its end may still wait in the socket.
    state_ = State::kEnding;
    expect_within(kPartingTime, "its socket did not end with it");
  }
  end_life_when_all_gone();
}

void SupervisedWorker::end_life_when_all_gone() {
  if (!end_ || link_open_) return;
  timer_.cancel();
  process_.reset();
  link_.reset();
  after_death(end_kind(*end_, {.put_down = put_down_,
                               .asked = stopping_,
                               .out_of_memory = oom_->killed_lately(SteadyClock::now())}));
}

void SupervisedWorker::after_death(WorkerEnd end) {
  state_ = State::kDown;
  const auto now = SteadyClock::now();
  end.replaced_at_once = !stopping_ && RestartPolicy::at_once(now, ready_since_, end.kind) &&
                         setup_.processes->has_spare(setup_.placement.settings.threads);
  const bool by_a_request = core_.worker_gone(setup_.id, end);
  if (stopping_) {
    core_.worker_given_up(setup_.id);
    finish();
    return;
  }
  std::optional<milliseconds> pause = policy_.after({now, ready_since_, end.kind, by_a_request});
  if (for_good_) pause.reset();
  log::logger("supervisor")
      .warn("{} is gone: {}; {}", log::field(setup_.id), end.in_words(),
            pause ? fmt::format("starts again in {} ms", pause->count()) : "stays down");
  if (!pause) return core_.worker_given_up(setup_.id);
  timer_.expires_after(*pause);
  timer_.async_wait([weak = weak_from_this(), life = life_](const boost::system::error_code& off) {
    const auto self = weak.lock();
    if (!off && self && self->life_ == life) self->start();
  });
}

void SupervisedWorker::stop(Deadline deadline) {
  if (std::exchange(stopping_, true)) return;
  if (state_ == State::kDown) return finish();
  if (link_open_) link_->drain();
  if (deadline.infinite()) return;
  stop_timer_.expires_at(deadline.at());
  stop_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (!cancelled && self) self->put_down(WorkerEnd::Kind::kAsked, "it did not end in time");
  });
}

void SupervisedWorker::kill() {
  stopping_ = true;
  if (state_ == State::kStopped) return;
  if (state_ == State::kDown) return finish();
  put_down(WorkerEnd::Kind::kAsked, "the daemon ends");
}

void SupervisedWorker::finish() {
  timer_.cancel();
  stop_timer_.cancel();
  if (std::exchange(state_, State::kStopped) == State::kStopped) return;
  if (setup_.on_stopped) setup_.on_stopped();
}

}  // namespace luna::front
