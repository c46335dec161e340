#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "common/base/unique_fd.h"
#include "daemon/front/core/clock.h"
#include "daemon/front/supervisor/child_process.h"

namespace luna::front {

/// A worker process that waits for its welcome at the other end of `control`.
struct StartedWorker {
  std::unique_ptr<ChildProcess> process;
  UniqueFd control;
};

/// Starts the worker processes of a pool, and keeps spare ones: started ahead, with their libraries
/// loaded, and with neither a device nor a model. A worker that dies is replaced by one in
/// milliseconds instead of the time that libtorch takes to load
/// (docs/decisions/0011-spare-workers.md). On the io_context's thread.
class ProcessReserve {
 public:
  struct Setup {
    std::string program;
    std::uint32_t size = 0;  ///< spare processes; 0: none
  };
  ProcessReserve(boost::asio::io_context& io, Setup setup);
  ProcessReserve(const ProcessReserve&) = delete;
  ProcessReserve& operator=(const ProcessReserve&) = delete;

  /// A spare one that was started for as many threads, else one that starts now. Its end is told to
  /// `on_end`. UNAVAILABLE when none can be started.
  Result<StartedWorker> take(int threads, std::function<void(ProcessEnd)> on_end);
  bool has_spare(int threads) const;

  /// Starts one more when the reserve lacks any. After a spare one ended by itself, or could not be
  /// started, not before kPause has passed.
  void fill(int threads, TimePoint now);
  static constexpr std::chrono::seconds kPause{10};
  /// Ends the spare ones.
  void clear() { spares_.clear(); }

 private:
  struct Spare {
    StartedWorker worker;
    int threads = 1;
  };
  Result<StartedWorker> start(int threads, std::function<void(ProcessEnd)> on_end) const;
  std::list<Spare>::iterator find(int pid);

  boost::asio::io_context& io_;
  const Setup setup_;
  std::list<Spare> spares_;
  TimePoint not_before_{};
};

}  // namespace luna::front
