#include "daemon/front/core/event_log.h"

#include <chrono>
#include <utility>

namespace luna::front {

void EventLog::add(std::string text) {
  if (text.size() > kMaxText) text.resize(kMaxText);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  events_.push_back({std::chrono::duration<double>(now).count(), std::move(text)});
  if (events_.size() > kKept) events_.pop_front();
}

}  // namespace luna::front
