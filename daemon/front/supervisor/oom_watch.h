#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace luna::front {

/// Whether the kernel killed a process for memory lately: watches the counter oom_kill of a
/// worker's control group (memory.events, cgroup v2), or of the whole machine (/proc/vmstat) where
/// there is none. A kill within kWindow is taken for the one that is asked about; the time covers
/// how long a process with much memory takes to end.
class OomWatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{10};

  /// The file that counts for a process; `proc` and `cgroups` are where the kernel shows them.
  static std::string counter_of(int pid, const std::string& proc = "/proc",
                                const std::string& cgroups = "/sys/fs/cgroup");

  /// Begins with the counter's present value; kills before are none of its.
  OomWatch(std::string counter, TimePoint now);
  /// To be called now and then while the process lives.
  void sample(TimePoint now);
  bool killed_lately(TimePoint now);

 private:
  std::optional<std::uint64_t> read() const;

  std::string counter_;
  /// The last one from before the window, and all since.
  std::deque<std::pair<TimePoint, std::uint64_t>> samples_;
};

}  // namespace luna::front
