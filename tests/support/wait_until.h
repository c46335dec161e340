#pragma once

#include <chrono>
#include <functional>

namespace luna::support {

/// Asks `condition` every few milliseconds until it holds; false when `limit` passed first. For
/// conditions that nothing can signal (another process, a file); the condition is asked once more
/// at the limit, so a slow machine gets its last chance.
bool wait_until(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace luna::support
