#pragma once

#include <memory>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/config/config.h"
#include "daemon/front/api/server.h"
#include "daemon/front/core/front_core.h"
#include "daemon/front/exit_code.h"
#include "daemon/front/local/core_steps.h"
#include "daemon/front/local/local_server.h"
#include "daemon/front/metrics/metrics_server.h"
#include "daemon/front/supervisor/supervisor.h"

namespace luna::front {

/// lunad's parts and its life: serving, draining, ending. The thread of run() drives the workers'
/// links; gRPC has threads of its own.
class FrontDaemon {
 public:
  /// `config` has every path filled in.
  explicit FrontDaemon(std::shared_ptr<const Config> config);
  ~FrontDaemon();
  FrontDaemon(const FrontDaemon&) = delete;
  FrontDaemon& operator=(const FrontDaemon&) = delete;

  /// Opens roots, sockets and workers. ALREADY_EXISTS: another lunad has the socket.
  Status start();
  /// Serves until a signal or idleness ends it.
  ExitCode run();

 private:
  enum class Phase { kServing, kDraining, kClosingApi, kStoppingWorkers };

  /// Shared memory for local clients. Without it they send their tensors inside the calls.
  void start_local_socket();
  void wait_for_signal();
  void on_signal(int number);
  void schedule_tick();
  void drain(const std::string& why);
  void close_api(bool all_ended);
  void stop_workers();

  const std::shared_ptr<const Config> config_;
  boost::asio::io_context io_{1};
  FrontCore core_;
  std::unique_ptr<Supervisor> supervisor_;
  CoreSteps steps_{core_};
  std::unique_ptr<LocalServer> local_;  ///< null where it could not listen
  std::unique_ptr<ApiServer> api_;
  std::unique_ptr<MetricsServer> metrics_;  ///< null when [metrics] listen is ""
  boost::asio::signal_set signals_;
  boost::asio::steady_timer tick_timer_;
  boost::asio::steady_timer drain_timer_;
  std::thread closing_;
  Phase phase_ = Phase::kServing;
  ExitCode exit_code_ = ExitCode::kEnded;
};

}  // namespace luna::front
