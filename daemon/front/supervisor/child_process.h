#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "common/base/status.h"

namespace luna::front {

/// How a process ended.
struct ProcessEnd {
  int exit_code = -1;  ///< -1: by a signal
  int signal = 0;      ///< 0: by itself

  /// "exited with 3", "killed by signal 9 (Killed)".
  std::string in_words() const;
};

/// One child, started by posix_spawn (a fork would copy gRPC's threads half): own process group,
/// default signals, stdin from /dev/null, stdout and stderr to our stderr, and of all descriptors
/// only the given one. Used from the io_context's thread; ends with SIGKILL and is reaped when it
/// is destroyed.
class ChildProcess {
 public:
  /// What the child finds its end of the control socket at.
  static constexpr int kControlFd = 3;

  struct Command {
    std::string program;                   ///< a path; $PATH is not searched
    std::vector<std::string> arguments;    ///< after the program's name
    std::vector<std::string> environment;  ///< "NAME=value", over this process's own
    int control_fd = -1;                   ///< stays the caller's; the child has it as kControlFd
  };
  /// `on_end` is called once, on `io`, never before this returns. UNAVAILABLE when the process
  /// cannot be started, with the reason.
  static Result<std::unique_ptr<ChildProcess>> start(boost::asio::io_context& io,
                                                     const Command& command,
                                                     std::function<void(ProcessEnd)> on_end);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int pid() const { return pid_; }
  /// From now on the end is told to `on_end` instead; for a process that passes from one owner to
  /// the next before it has ended.
  void tell_end_to(std::function<void(ProcessEnd)> on_end);
  /// Harmless when it has ended.
  void signal(int number);

 private:
  struct Ending;
  ChildProcess(boost::asio::io_context& io, int pid, std::function<void(ProcessEnd)> on_end);

  int pid_;
  std::shared_ptr<Ending> ending_;
  std::thread watcher_;
};

}  // namespace luna::front
