#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "client/rpc/grpc_client.h"
#include "tests/support/wait_until.h"

namespace luna::support {

/// Output and exit status of a program that has ended.
struct Ended {
  int status = 0;  ///< exit code, or 128 + signal
  std::string out;
  std::string err;
};

/// Runs a program of the build (its name in bin/) to its end, 120 s at most.
Ended run_program(const std::string& name, const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment = {});

/// Starts a program of the build; -1 when it cannot.
pid_t start_program(const std::string& name, const std::vector<std::string>& arguments);
/// Waits for a child to end (60 s at most): exit code, or 128 + signal; -1 when it still runs.
int exit_code_of(pid_t child);
/// CLIP's merges, as ./dev setup leaves them.
std::string clip_vocabulary();

/// A real lunad with real workers over a private socket and model root; stopped (SIGTERM, then
/// SIGKILL) and reaped at the end of the test.
class DaemonProcess {
 public:
  struct Options {
    std::string extra_toml;       ///< appended to the configuration
    bool tcp = false;             ///< listens on a free port of 127.0.0.1 too
    bool wait_for_worker = true;  ///< else until it answers
  };
  /// `folder` holds models/ (the root) and gets the socket, the configuration and the log. Waits
  /// until a worker is ready.
  static std::unique_ptr<DaemonProcess> start(const std::filesystem::path& folder,
                                              const Options& options);
  static std::unique_ptr<DaemonProcess> start(const std::filesystem::path& folder) {
    return start(folder, Options());
  }
  ~DaemonProcess();

  pid_t pid() const { return pid_; }
  std::string address() const { return "unix:" + socket_.string(); }
  std::string tcp_address() const { return tcp_address_; }
  std::filesystem::path log_path() const { return log_; }
  std::string log() const;

  std::unique_ptr<client::GrpcClient> connect(const std::string& address = "") const;
  StatusInfo status() const;
  /// Of the workers that its status names, in rising order.
  std::vector<pid_t> worker_pids() const;
  /// Of all processes that it started and that live: workers and spare ones.
  std::vector<pid_t> child_pids() const;

  void send(int signal);
  /// Exit code, or 128 + signal; fails the test when it has not ended in time.
  int wait_for_exit(std::chrono::seconds limit);

 private:
  DaemonProcess() = default;
  pid_t pid_ = -1;
  std::filesystem::path socket_, log_;
  std::string tcp_address_;
};

/// Children of a process, from /proc.
std::vector<pid_t> children_of(pid_t pid);
bool process_exists(pid_t pid);
/// Living processes that were started with this "NAME=value".
std::vector<pid_t> processes_with_environment(const std::string& entry);

}  // namespace luna::support
