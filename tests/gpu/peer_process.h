#pragma once

#include <string>

#include <sys/types.h>

#include "common/base/unique_fd.h"

namespace luna {

/// A gpu_peer (gpu_peer.cpp) beside this program, as a process of its own: a CUDA handle cannot be
/// opened by the process that made it.
class PeerProcess {
 public:
  /// Starts it and waits until it has its device. alive() is false when that failed.
  PeerProcess();
  /// Ends it.
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  bool alive() const { return pid_ > 0; }
  /// Its answer to one line; "" when it has ended.
  std::string ask(const std::string& line);
  /// kill -9, and waits for its end.
  void kill();

 private:
  std::string read_line();

  pid_t pid_ = -1;
  UniqueFd to_, from_;
};

}  // namespace luna
