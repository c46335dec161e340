#pragma once

#include <chrono>
#include <optional>

#include "common/config/config.h"
#include "daemon/front/core/pool_load.h"

namespace luna::front {

/// When a pool gets another worker and when one of them ends (config.toml, [[pool]]). Asked a few
/// times a second.
class ScalingRule {
 public:
  explicit ScalingRule(const Config::Pool& config) : config_(config) {}

  /// True when one more shall start: jobs wait and no worker is up; or the unfinished jobs have
  /// been more than scale_up_jobs for each worker over scale_up_wait_ms. One at a time: none while
  /// another one starts.
  bool wants_more(const PoolLoad& load, TimePoint now);

  /// The worker that has been idle longest, when that is scale_down_idle_seconds or more. `load`
  /// has only those that may end.
  std::optional<WorkerId> wants_to_end(const PoolLoad& load, TimePoint now) const;

 private:
  Config::Pool config_;
  std::optional<TimePoint> pressed_since_;
};

}  // namespace luna::front
