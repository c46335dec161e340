#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace luna::bench {

using Clock = std::chrono::steady_clock;

inline double milliseconds_since(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

/// Durations in one unit, and their quantiles.
class Latencies {
 public:
  void add(double value) { values_.push_back(value); }
  std::size_t count() const { return values_.size(); }
  /// The value that a share of all stay at or below; 0 when there are none.
  double at(double share) const {
    if (values_.empty()) return 0;
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
  }

 private:
  std::vector<double> values_;
};

}  // namespace luna::bench
