#include "daemon/front/supervisor/scaling_rule.h"

#include <algorithm>

namespace luna::front {

bool ScalingRule::wants_more(const PoolLoad& load, TimePoint now) {
  if (load.workers.empty()) return load.waiting > 0;
  std::uint64_t jobs = load.waiting;
  for (const PoolLoad::Worker& worker : load.workers) jobs += worker.jobs;
  const bool pressed = jobs > config_.scale_up_jobs * load.workers.size();
  const bool all_ready = std::ranges::all_of(load.workers, &PoolLoad::Worker::ready);
  if (!pressed || !all_ready) {
    pressed_since_.reset();
    return false;
  }
  if (!pressed_since_) pressed_since_ = now;
  if (now - *pressed_since_ < std::chrono::milliseconds(config_.scale_up_wait_ms)) return false;
  pressed_since_.reset();
  return true;
}

std::optional<WorkerId> ScalingRule::wants_to_end(const PoolLoad& load, TimePoint now) const {
  if (config_.scale_down_idle_seconds == 0) return std::nullopt;
  const PoolLoad::Worker* idlest = nullptr;
  for (const PoolLoad::Worker& worker : load.workers) {
    if (!worker.ready || worker.jobs > 0) continue;
    if (!idlest || worker.idle_since < idlest->idle_since) idlest = &worker;
  }
  if (!idlest) return std::nullopt;
  const auto idle = now - idlest->idle_since;
  if (idle < std::chrono::seconds(config_.scale_down_idle_seconds)) return std::nullopt;
  return idlest->id;
}

}  // namespace luna::front
