#pragma once

#include <chrono>
#include <functional>

namespace luna::front {

using TimePoint = std::chrono::steady_clock::time_point;
/// Where the core takes the time from; tests turn it by hand.
using Clock = std::function<TimePoint()>;

}  // namespace luna::front
