#include "daemon/worker/engine/memory.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

namespace luna::worker {
namespace {

constexpr std::chrono::milliseconds kTrueFor{20};

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

std::uint64_t available_by_meminfo() {
  std::ifstream file("/proc/meminfo");
  std::string name, rest;
  std::uint64_t kib = 0;
  while (file >> name >> kib && std::getline(file, rest)) {
    if (name == "MemAvailable:") return kib * 1024;
  }
  return UINT64_MAX;
}

/// Page cache that the group may drop counts as free, as in MemAvailable.
std::uint64_t available_by_control_group() {
  const std::string root = "/sys/fs/cgroup/";
  const auto limit = number_in(root + "memory.max");
  const auto used = number_in(root + "memory.current");
  if (!limit || !used) return UINT64_MAX;
  std::uint64_t reclaimable = 0;
  std::ifstream stat(root + "memory.stat");
  std::string name;
  std::uint64_t value = 0;
  while (stat >> name >> value) {
    if (name == "inactive_file") reclaimable = value;
  }
  const std::uint64_t held = *used - std::min(*used, reclaimable);
  return *limit - std::min(*limit, held);
}

}  // namespace

std::uint64_t available_host_bytes() {
  using Clock = std::chrono::steady_clock;
  static std::mutex mutex;
  static Clock::time_point asked;
  static std::uint64_t bytes = 0;
  std::lock_guard lock(mutex);
  if (const Clock::time_point now = Clock::now(); now - asked >= kTrueFor) {
    bytes = std::min(available_by_meminfo(), available_by_control_group());
    asked = now;
  }
  return bytes;
}

std::uint64_t resident_host_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t peak_resident_host_bytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace luna::worker
