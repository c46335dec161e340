#pragma once

#include <chrono>

namespace luna {

/// A point in time after which nobody waits for the answer. Steady clock of this machine; travels
/// between processes as the time that is left.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// Never expires.
  Deadline() : at_(Clock::time_point::max()) {}
  explicit Deadline(Clock::time_point at) : at_(at) {}
  static Deadline after(std::chrono::nanoseconds left);

  bool infinite() const { return at_ == Clock::time_point::max(); }
  bool expired() const { return !infinite() && Clock::now() >= at_; }
  /// Zero when expired; nanoseconds::max() when infinite.
  std::chrono::nanoseconds left() const;
  Clock::time_point at() const { return at_; }

 private:
  Clock::time_point at_;
};

}  // namespace luna
