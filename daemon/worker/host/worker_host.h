#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/ipc/session/front_link.h"
#include "daemon/worker/engine/engine.h"
#include "daemon/worker/steps/step_server.h"

namespace luna::worker {

/// Connects one front's control socket to an Engine: runs the jobs that come, sends heartbeats
/// (during a forward too), drains on request, ends the process when the device has failed.
/// Everything here happens on the io_context's thread, except opening the engine, which has a
/// thread of its own, and the engine's events, which only send.
class WorkerHost {
 public:
  using OpenEngine = std::function<Result<std::unique_ptr<Engine>>(const WorkerSettings&,
                                                                   std::shared_ptr<HostCopies>)>;
  /// How the process ends. Does not return, or not normally.
  using Exit = std::function<void(int code)>;

  /// `fd`: the connected control socket, owned from now on. The io_context must not run any more
  /// when this is destroyed: the socket lives as long as it runs, and calls back.
  WorkerHost(boost::asio::io_context& io, int fd, OpenEngine open_engine, Exit exit);
  ~WorkerHost();

 private:
  void welcome(const WorkerSettings& settings);
  void engine_opened(Result<std::unique_ptr<Engine>> engine);
  void run(Job job);
  void cancel(JobId job);
  void drain();
  void send_heartbeats();
  void open_steps(StepsOpening opening, UniqueFd socket);

  boost::asio::io_context& io_;
  const OpenEngine open_engine_;
  const Exit exit_;
  std::shared_ptr<ipc::FrontLink> link_;
  WorkerSettings settings_;
  std::thread opening_;
  Status opened_;                ///< why there is no engine, once that is known
  std::vector<Job> early_jobs_;  ///< came before the engine was open
  std::vector<std::string> pins_;
  bool draining_ = false;
  boost::asio::steady_timer heartbeat_;
  std::unique_ptr<StepServer> steps_;
  std::unique_ptr<Engine> engine_;  ///< goes first: its events use the link, its calls the steps
};

}  // namespace luna::worker
