#pragma once

#include <chrono>

namespace luna::client {

/// Estimates the pace of sampling from the times at which steps finished. The first step is left
/// out of the pace once there are others: it may hold the loading of the model.
class StepClock {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit StepClock(Time start) : start_(start) {}

  void step_finished(int step, Time now);
  /// 0 until the first step has finished.
  double seconds_per_step() const;
  double seconds_left(int steps) const;

 private:
  Time start_;
  Time first_time_{};
  Time last_time_{};
  int first_step_ = 0;
  int last_step_ = 0;
};

}  // namespace luna::client
