#include "daemon/front/supervisor/restart_policy.h"

#include <algorithm>

namespace luna::front {

namespace {

bool healthy(RestartPolicy::TimePoint at, std::optional<RestartPolicy::TimePoint> ready_since) {
  return ready_since && at - *ready_since >= RestartPolicy::kHealthy;
}

}  // namespace

bool RestartPolicy::at_once(TimePoint at, std::optional<TimePoint> ready_since,
                            WorkerEnd::Kind kind) {
  return kind == WorkerEnd::Kind::kFromOutside && healthy(at, ready_since);
}

std::optional<std::chrono::milliseconds> RestartPolicy::after(const Death& death) {
  in_a_row_ = healthy(death.at, death.ready_since) ? 1 : in_a_row_ + 1;
  // Whoever kills a worker before it is ready keeps it from ever being so: that counts.
  const bool none_of_its = death.by_a_request || (death.kind == WorkerEnd::Kind::kFromOutside &&
                                                  death.ready_since.has_value());
  if (!none_of_its) {
    faults_.push_back(death.at);
    const auto window = std::chrono::seconds(config_.crash_loop_seconds);
    while (death.at - faults_.front() > window) faults_.pop_front();
    if (faults_.size() >= config_.crash_loop_limit) return std::nullopt;
  }
  if (at_once(death.at, death.ready_since, death.kind)) return std::chrono::milliseconds(0);
  std::uint64_t pause = config_.backoff_first_ms;
  for (std::uint32_t i = 1; i < in_a_row_ && pause < config_.backoff_max_ms; ++i) pause *= 2;
  return std::chrono::milliseconds(std::min<std::uint64_t>(pause, config_.backoff_max_ms));
}

}  // namespace luna::front
