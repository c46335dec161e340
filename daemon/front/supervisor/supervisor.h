#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "daemon/front/core/front_core.h"
#include "daemon/front/supervisor/worker_pool.h"

namespace luna::front {

/// The workers of all pools. All but start() on the io_context's thread, which must be a single
/// one; start() before it runs, or on it.
class Supervisor {
 public:
  struct Setup {
    std::shared_ptr<const Config> config;
    std::string worker_program;
    Machine machine;
    WorkerSettings common;  ///< what every worker is told: vocabulary, embedding folders
    PortFactory make_port;
  };
  /// `core` must outlive it.
  Supervisor(boost::asio::io_context& io, FrontCore& core, Setup setup);
  /// Kills and reaps what is left.
  ~Supervisor();

  /// FAILED_PRECONDITION when the worker program is not there or may not be executed.
  Status start();
  /// Starts and ends workers as the load asks for; to be called a few times a second.
  void scale(TimePoint now);
  /// Every worker ends its jobs, then itself, and is killed at the deadline; `done` once all are
  /// reaped.
  void stop(Deadline deadline, std::function<void()> done);
  /// After stop(): ends what still runs now.
  void kill();

 private:
  void notice_stopped();

  boost::asio::io_context& io_;
  FrontCore& core_;
  Setup setup_;
  std::uint64_t last_id_ = 0;
  std::vector<std::unique_ptr<WorkerPool>> pools_;
  std::function<void()> when_stopped_;
};

}  // namespace luna::front
