#include "client/pipeline/step_clock.h"

namespace luna::client {

void StepClock::step_finished(int step, Time now) {
  if (step <= last_step_) return;
  if (first_step_ == 0) {
    first_step_ = step;
    first_time_ = now;
  }
  last_step_ = step;
  last_time_ = now;
}

double StepClock::seconds_per_step() const {
  if (last_step_ == 0) return 0;
  const bool has_pace = last_step_ > first_step_;
  const auto elapsed = last_time_ - (has_pace ? first_time_ : start_);
  const int steps = has_pace ? last_step_ - first_step_ : last_step_;
  return std::chrono::duration<double>(elapsed).count() / steps;
}

double StepClock::seconds_left(int steps) const {
  return steps > last_step_ ? seconds_per_step() * (steps - last_step_) : 0;
}

}  // namespace luna::client
