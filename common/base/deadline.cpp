#include "common/base/deadline.h"

#include <algorithm>

namespace luna {

Deadline Deadline::after(std::chrono::nanoseconds left) {
  const auto now = Clock::now();
  if (left >= Clock::time_point::max() - now) return Deadline();
  return Deadline(now + left);
}

std::chrono::nanoseconds Deadline::left() const {
  if (infinite()) return std::chrono::nanoseconds::max();
  return std::max(std::chrono::nanoseconds::zero(), std::chrono::nanoseconds(at_ - Clock::now()));
}

}  // namespace luna
