#include "daemon/worker/host/worker_host.h"

#include <algorithm>
#include <chrono>

#include <boost/asio/post.hpp>

#include "common/log/log.h"
#include "common/types/worker_exit.h"
#include "daemon/worker/host/linked_copies.h"

namespace luna::worker {
namespace {

constexpr std::uint32_t kShortestHeartbeatMs = 10;

}  // namespace

WorkerHost::WorkerHost(boost::asio::io_context& io, int fd, OpenEngine open_engine, Exit exit)
    : io_(io), open_engine_(std::move(open_engine)), exit_(std::move(exit)), heartbeat_(io) {
  ipc::FrontLink::Handlers handlers;
  handlers.on_welcome = [this](WorkerId, const WorkerSettings& settings) { welcome(settings); };
  handlers.on_run = [this](Job job) { run(std::move(job)); };
  handlers.on_cancel = [this](JobId job) { cancel(job); };
  handlers.on_drain = [this] { drain(); };
  handlers.on_pins = [this](std::vector<std::string> paths) {
    pins_ = std::move(paths);
    if (engine_) engine_->pin(pins_);
  };
  handlers.on_open_steps = [this](StepsOpening opening, UniqueFd socket) {
    open_steps(std::move(opening), std::move(socket));
  };
  handlers.on_release_leases = [this](std::vector<std::string> lease_ids) {
    if (engine_) engine_->release_leases(std::move(lease_ids));
  };
  handlers.on_end_session = [this](std::string session) {
    if (engine_) engine_->end_session(std::move(session));
  };
  handlers.on_closed = [this](Status reason) {
    // Nobody is left to answer to: not even a forward that runs is worth finishing.
    if (!draining_) log::logger("host").warn("the front is gone: {}", reason.to_string());
    exit_(0);
  };
  link_ = ipc::FrontLink::adopt(io_, fd, std::move(handlers));
}

WorkerHost::~WorkerHost() {
  if (opening_.joinable()) opening_.join();
  engine_.reset();
}

void WorkerHost::welcome(const WorkerSettings& settings) {
  settings_ = settings;
  opening_ = std::thread([this, settings] {
    auto opened = std::make_shared<Result<std::unique_ptr<Engine>>>(
        open_engine_(settings, make_linked_copies(link_)));
    boost::asio::post(io_, [this, opened] { engine_opened(std::move(*opened)); });
  });
  send_heartbeats();
}

void WorkerHost::engine_opened(Result<std::unique_ptr<Engine>> engine) {
  opening_.join();
  opened_ = engine.status();
  if (engine.ok()) {
    engine_ = std::move(engine).value();
    engine_->pin(pins_);
    steps_ = std::make_unique<StepServer>(*engine_,
                                          [link = link_](StepsId steps, std::uint64_t evaluations) {
                                            link->send_steps_ended(steps, evaluations);
                                          });
  }
  log::logger("host").info(
      "{}", engine_ ? "ready on " + engine_->device_description() : opened_.to_string());
  // The front routes by what the report says of the device, from the first job on.
  if (engine_) link_->send_heartbeat(engine_->report());
  link_->send_ready(opened_, engine_ ? engine_->device_description() : settings_.device);
  for (Job& job : std::exchange(early_jobs_, {})) run(std::move(job));
  if (draining_) drain();
}

void WorkerHost::run(Job job) {
  const JobId id = job.id;
  if (engine_) {
    JobEvents events;
    events.on_progress = [link = link_, id](const SampleProgress& progress) {
      link->send_progress(id, progress);
    };
    events.on_done = [this, link = link_, id](Result<JobReply> result) {
      if (result.status().code() == StatusCode::kInternal && engine_->device_failed()) {
        // Unanswered, so that the front counts it as a death and runs the jobs elsewhere.
        log::logger("host").error("the device has failed: {}", result.status().to_string());
        return exit_(kDeviceErrorExit);
      }
      link->send_done(id, std::move(result));
    };
    engine_->run(std::move(job), std::move(events));
  } else if (!opened_.ok()) {
    link_->send_done(id, opened_);
  } else if (early_jobs_.size() >= settings_.max_queued_jobs) {
    link_->send_done(id, error(StatusCode::kResourceExhausted,
                               "the worker is starting, and its queue of {} is full",
                               settings_.max_queued_jobs));
  } else {
    early_jobs_.push_back(std::move(job));
  }
}

void WorkerHost::cancel(JobId job) {
  if (engine_) return engine_->cancel(job);
  const auto early = std::find_if(early_jobs_.begin(), early_jobs_.end(),
                                  [&](const Job& j) { return j.id == job; });
  if (early == early_jobs_.end()) return;
  early_jobs_.erase(early);
  link_->send_done(job, error(StatusCode::kCancelled, "the job was cancelled"));
}

void WorkerHost::drain() {
  draining_ = true;
  if (engine_) {
    engine_->drain([link = link_] { link->close_when_flushed(); });
  } else if (!opened_.ok()) {
    link_->close_when_flushed();
  }
}

void WorkerHost::open_steps(StepsOpening opening, UniqueFd socket) {
  // Without an engine the socket's end tells the client that nobody is here.
  if (!steps_ || draining_) return link_->send_steps_ended(opening.id, 0);
  steps_->open(std::move(opening), std::move(socket));
}

void WorkerHost::send_heartbeats() {
  WorkerReport report;
  report.device = settings_.device;
  if (engine_) report = engine_->report();
  if (steps_) report.step_evaluations = steps_->evaluations();
  link_->send_heartbeat(std::move(report));
  heartbeat_.expires_after(
      std::chrono::milliseconds(std::max(kShortestHeartbeatMs, settings_.heartbeat_ms)));
  heartbeat_.async_wait([this](boost::system::error_code failed) {
    if (!failed) send_heartbeats();
  });
}

}  // namespace luna::worker
