#pragma once

#include <string>

namespace luna::worker {

struct WorkerOptions {
  int control_fd = -1;
  std::string log_level = "info";
  std::string log_file;
};

/// Serves the front at the other end of options.control_fd until it says drain, or is gone; then
/// the process ends. Returns an exit code only when serving could not begin: 2 for a descriptor
/// that is no socket or a bad log option.
int run_worker(const WorkerOptions& options);

}  // namespace luna::worker
