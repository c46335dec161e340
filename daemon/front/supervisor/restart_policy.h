#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "common/config/config.h"

namespace luna::front {

/// When a worker that died is started again. The pause doubles with each death in a row; a worker
/// that was ready for kHealthy begins anew. One that dies by a fault of its own crash_loop_limit
/// times within crash_loop_seconds stays down.
class RestartPolicy {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kHealthy{1};

  explicit RestartPolicy(const Config::Supervision& config) : config_(config) {}

  struct Death {
    TimePoint at;
    std::optional<TimePoint> ready_since;  ///< empty: it never was
    bool from_outside = false;             ///< a SIGKILL that was not ours: no fault of the worker
  };
  /// The pause before the next start, or nullopt: it stays down.
  std::optional<std::chrono::milliseconds> after(const Death& death);

 private:
  Config::Supervision config_;
  std::deque<TimePoint> faults_;
  std::uint32_t in_a_row_ = 0;
};

}  // namespace luna::front
