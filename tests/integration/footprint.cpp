#include "tests/integration/footprint.h"

#include <filesystem>
#include <fstream>

namespace luna::support {
namespace {

namespace fs = std::filesystem;

std::uint64_t pss_bytes(const fs::path& process) {
  std::ifstream file(process / "smaps_rollup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("Pss:")) return std::stoull(line.substr(4)) * 1024;
  }
  return 0;
}

int open_descriptors(const fs::path& process) {
  std::error_code gone;
  int count = 0;
  for (fs::directory_iterator entry(process / "fd", gone), end; !gone && entry != end;
       entry.increment(gone)) {
    ++count;
  }
  return count;
}

}  // namespace

Footprint footprint(const DaemonProcess& daemon) {
  std::vector<pid_t> processes = daemon.worker_pids();
  processes.push_back(daemon.pid());
  Footprint sum;
  for (const pid_t pid : processes) {
    const fs::path process = fs::path("/proc") / std::to_string(pid);
    sum.pss += pss_bytes(process);
    sum.descriptors[pid] = open_descriptors(process);
  }
  return sum;
}

std::string in_words(const Footprint& footprint) {
  std::string text = std::to_string(footprint.pss >> 10);
  text += " KiB";
  for (const auto& [pid, count] : footprint.descriptors)
    text += fmt::format(", process {}: {} descriptors", pid, count);
  return text;
}

}  // namespace luna::support
