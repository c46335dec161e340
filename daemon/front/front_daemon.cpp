#include "daemon/front/front_daemon.h"

#include <utility>

#include <boost/asio/post.hpp>
#include <signal.h>

#include "common/config/version.h"
#include "common/log/log.h"
#include "daemon/front/api/unix_listener.h"
#include "daemon/front/core/model_roots.h"
#include "daemon/front/core/plane_desk.h"
#include "daemon/front/dispatch/link_port.h"
#include "daemon/front/dispatch/request_fingerprint.h"

namespace luna::front {
namespace {

constexpr std::chrono::milliseconds kTick{250};
/// For replies that are on their way when the last job has ended.
constexpr std::chrono::seconds kReplyTime{2};
constexpr std::chrono::seconds kWorkerStopTime{5};

}  // namespace

FrontDaemon::FrontDaemon(std::shared_ptr<const Config> config)
    : config_(std::move(config)),
      core_(config_, {}, request_fingerprint),
      signals_(io_, SIGTERM, SIGINT),
      tick_timer_(io_),
      drain_timer_(io_) {}

FrontDaemon::~FrontDaemon() {
  if (closing_.joinable()) closing_.join();
  metrics_.reset();
  api_.reset();
  local_.reset();
  supervisor_.reset();
}

Status FrontDaemon::start() {
  LUNA_ASSIGN_OR_RETURN(const ModelRoots roots, ModelRoots::open(config_->models));
  if (!config_->server.unix_socket.empty()) {
    LUNA_RETURN_IF_ERROR(prepare_socket_path(config_->server.unix_socket));
    start_local_socket();  // before a session can ask for it
  }
  LUNA_ASSIGN_OR_RETURN(api_, ApiServer::start(core_, *config_, config_->server.unix_socket));
  if (!config_->metrics.listen.empty()) {
    LUNA_ASSIGN_OR_RETURN(
        metrics_, MetricsServer::start(config_->metrics.listen, [this] { return core_.status(); }));
  }
  auto& log = log::logger("front");
  if (roots.empty()) log.warn("no model roots: only local clients can name files, by full path");
  if (config_->models.clip_vocabulary.empty()) {
    log.warn("no CLIP vocabulary was found: set [models] clip_vocabulary to encode text");
  }
  Supervisor::Setup setup{.config = config_,
                          .worker_program = config_->supervision.worker_program,
                          .machine = Machine::look(config_->supervision.worker_program),
                          .common = {},
                          .make_port = make_link_port};
  setup.common.clip_vocabulary = config_->models.clip_vocabulary;
  setup.common.embedding_folders = roots.folders("embeddings");
  supervisor_ = std::make_unique<Supervisor>(io_, core_, std::move(setup));
  LUNA_RETURN_IF_ERROR(supervisor_->start());
  log.info("lunad {} serves on unix:{}{}", kVersion, config_->server.unix_socket,
           config_->server.listen.empty() ? "" : " and " + config_->server.listen);
  if (metrics_) log.info("metrics at http://{}/metrics", config_->metrics.listen);
  return {};
}

void FrontDaemon::start_local_socket() {
  const Config::Limits& limits = config_->limits;
  if (limits.regions_per_session == 0 || limits.region_bytes_per_session == 0) return;
  auto started =
      LocalServer::start(core_, {.path = LocalServer::path_beside(config_->server.unix_socket),
                                 .max_sessions = limits.sessions,
                                 .steps = &steps_});
  if (started.ok()) {
    local_ = *std::move(started);
  } else {
    log::logger("front").warn("no shared memory for local clients: {}", started.status().message());
    core_.planes().stop(started.status().message());
  }
}

ExitCode FrontDaemon::run() {
  wait_for_signal();
  schedule_tick();
  io_.run();
  return exit_code_;
}

void FrontDaemon::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& cancelled, int number) {
    if (cancelled) return;
    wait_for_signal();
    on_signal(number);
  });
}

void FrontDaemon::on_signal(int number) {
  if (phase_ == Phase::kServing) {
    drain(fmt::format("signal {}", number));
    return;
  }
  log::logger("front").warn("a second signal: ending at once");
  exit_code_ = ExitCode::kCutShort;
  core_.end_all(error(StatusCode::kUnavailable, "the daemon was told to end at once"));
  io_.stop();
}

void FrontDaemon::schedule_tick() {
  tick_timer_.expires_after(kTick);
  tick_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    core_.tick();
    if (phase_ == Phase::kServing) supervisor_->scale(std::chrono::steady_clock::now());
    const std::chrono::seconds limit(config_->server.idle_exit_seconds);
    if (phase_ == Phase::kServing && limit.count() > 0 && core_.idle_for() >= limit) {
      drain(fmt::format("idle for {} s", limit.count()));
    }
    schedule_tick();
  });
}

void FrontDaemon::drain(const std::string& why) {
  phase_ = Phase::kDraining;
  log::logger("front").info("draining ({}): running calls may go on for {} s", why,
                            config_->server.drain_seconds);
  api_->drain();
  drain_timer_.expires_after(std::chrono::seconds(config_->server.drain_seconds));
  drain_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) close_api(false);
  });
  core_.drain([this] { boost::asio::post(io_, [this] { close_api(true); }); });
}

void FrontDaemon::close_api(bool all_ended) {
  if (phase_ != Phase::kDraining) return;
  phase_ = Phase::kClosingApi;
  drain_timer_.cancel();
  if (!all_ended) {
    log::logger("front").warn("calls were still running after {} s; they are ended",
                              config_->server.drain_seconds);
    exit_code_ = ExitCode::kCutShort;
    core_.end_all(error(StatusCode::kUnavailable, "the daemon has stopped before this call ended"));
  }
  // The api waits for its calls, and those may wait for this thread: so another one does the
  // waiting.
  closing_ = std::thread([this, patience = all_ended ? kReplyTime : std::chrono::seconds(0)] {
    api_->shutdown(Deadline::after(patience));
    local_.reset();
    boost::asio::post(io_, [this] { stop_workers(); });
    metrics_.reset();  // its HTTP server takes up to two seconds to end; the workers take theirs
  });
}

void FrontDaemon::stop_workers() {
  phase_ = Phase::kStoppingWorkers;
  supervisor_->stop(Deadline::after(kWorkerStopTime), [this] {
    log::logger("front").info("ended");
    io_.stop();
  });
}

}  // namespace luna::front
