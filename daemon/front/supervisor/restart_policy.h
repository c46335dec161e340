#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "common/config/config.h"
#include "daemon/front/core/worker_end.h"

namespace luna::front {

/// When a worker that died is started again. The pause doubles with each death in a row; a worker
/// that was ready for kHealthy begins anew, and without a pause when it was killed from outside.
/// One that crashes, hangs or runs out of memory crash_loop_limit times within crash_loop_seconds
/// stays down. Of the two deaths that convict a request only the first counts, so that no request
/// takes the workers from everyone before it is refused.
class RestartPolicy {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kHealthy{1};

  explicit RestartPolicy(const Config::Supervision& config) : config_(config) {}

  struct Death {
    TimePoint at;
    std::optional<TimePoint> ready_since;  ///< empty: it never was
    WorkerEnd::Kind kind = WorkerEnd::Kind::kCrash;
    bool by_a_request = false;  ///< a request was convicted of it (FrontCore::worker_gone)
  };
  /// The pause before the next start, or nullopt: it stays down.
  std::optional<std::chrono::milliseconds> after(const Death& death);
  /// Whether such a death leads to no pause.
  static bool at_once(TimePoint at, std::optional<TimePoint> ready_since, WorkerEnd::Kind kind);

 private:
  Config::Supervision config_;
  std::deque<TimePoint> faults_;
  std::uint32_t in_a_row_ = 0;
};

}  // namespace luna::front
