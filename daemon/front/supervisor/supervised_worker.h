#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/front/core/front_core.h"
#include "daemon/front/supervisor/oom_watch.h"
#include "daemon/front/supervisor/placement.h"
#include "daemon/front/supervisor/process_reserve.h"
#include "daemon/front/supervisor/restart_policy.h"
#include "daemon/ipc/session/worker_link.h"

namespace luna::front {

/// Makes the core's port to a worker; dispatch has it, and the supervisor may not reach dispatch.
using PortFactory =
    std::function<std::shared_ptr<WorkerPort>(WorkerId, std::shared_ptr<ipc::WorkerLink>)>;

/// One worker over all its lives: starts its process, tells the core of it, kills it when it hangs,
/// tells the core how it ended, starts it again. Only on the io_context's thread, which must be a
/// single one.
class SupervisedWorker : public std::enable_shared_from_this<SupervisedWorker> {
 public:
  struct Setup {
    WorkerId id;
    Placement placement;
    Config::Supervision config;
    std::shared_ptr<ProcessReserve> processes;
    PortFactory make_port;
    std::function<void()> on_stopped;  ///< once, after stop() or kill(): nothing is left of it
  };
  SupervisedWorker(boost::asio::io_context& io, FrontCore& core, Setup setup);

  void start();
  /// Lets running jobs end; the process follows by itself, or is killed at the deadline.
  void stop(Deadline deadline);
  /// At once.
  void kill();
  bool ready() const { return state_ == State::kReady; }
  bool stopped() const { return state_ == State::kStopped; }

 private:
  enum class State { kDown, kStarting, kReady, kEnding, kStopped };

  Status spawn();
  void on_ready(std::uint64_t life, const Status& status, std::string device);
  void on_heartbeat(std::uint64_t life, const WorkerReport& report);
  void on_link_closed(std::uint64_t life, const Status& why);
  void on_process_end(std::uint64_t life, ProcessEnd end);
  void watch_heartbeats();
  /// Kills the process; `why` is what people are told instead of "killed by signal 9".
  void put_down(WorkerEnd::Kind kind, std::string why);
  /// After `wait` something else must have happened, else the process is put down: it hangs.
  void expect_within(std::chrono::milliseconds wait, std::string complaint);
  void end_life_when_all_gone();
  void after_death(WorkerEnd end);
  void finish();

  boost::asio::io_context& io_;
  FrontCore& core_;
  Setup setup_;
  RestartPolicy policy_;
  boost::asio::steady_timer timer_;  ///< of the present state
  boost::asio::steady_timer stop_timer_;

  State state_ = State::kDown;
  bool stopping_ = false;
  bool for_good_ = false;   ///< it said that it never will be ready
  std::uint64_t life_ = 0;  ///< which start; handlers of earlier ones are ignored
  std::unique_ptr<ChildProcess> process_;
  std::shared_ptr<ipc::WorkerLink> link_;
  bool link_open_ = false;
  std::optional<ProcessEnd> end_;
  std::optional<WorkerEnd> put_down_;
  std::optional<OomWatch> oom_;
  std::optional<RestartPolicy::TimePoint> ready_since_;
  RestartPolicy::TimePoint heard_;
};

}  // namespace luna::front
