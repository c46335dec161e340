#include "daemon/front/supervisor/oom_watch.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace luna::front {

std::string OomWatch::counter_of(int pid, const std::string& proc, const std::string& cgroups) {
  std::ifstream groups(fmt::format("{}/{}/cgroup", proc, pid));
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::")) continue;
    for (const char* mount : {"", "/unified"}) {
      const std::string path = cgroups + mount + line.substr(3) + "/memory.events";
      std::error_code absent;
      if (std::filesystem::exists(path, absent)) return path;
    }
  }
  return proc + "/vmstat";
}

OomWatch::OomWatch(std::string counter, TimePoint now) : counter_(std::move(counter)) {
  sample(now);
}

std::optional<std::uint64_t> OomWatch::read() const {
  std::ifstream file(counter_);
  std::string name;
  for (std::uint64_t value = 0; file >> name >> value;) {
    if (name == "oom_kill") return value;
  }
  return std::nullopt;
}

void OomWatch::sample(TimePoint now) {
  if (const auto value = read()) samples_.emplace_back(now, *value);
  while (samples_.size() > 1 && now - samples_[1].first >= kWindow) samples_.pop_front();
}

bool OomWatch::killed_lately(TimePoint now) {
  sample(now);
  return !samples_.empty() && samples_.back().second > samples_.front().second;
}

}  // namespace luna::front
