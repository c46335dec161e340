#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "common/types/info.h"

namespace luna::front {

/// What happened lately, oldest first. Not thread-safe.
class EventLog {
 public:
  static constexpr std::size_t kKept = 64;
  static constexpr std::size_t kMaxText = 1024;

  /// Stamps the text with the present wall-clock time; longer texts are cut.
  void add(std::string text);
  std::vector<EventInfo> events() const { return {events_.begin(), events_.end()}; }

 private:
  std::deque<EventInfo> events_;
};

}  // namespace luna::front
