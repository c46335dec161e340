#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace luna::client {

/// Name of a private daemon's socket in its folder.
inline constexpr std::string_view kPrivateSocket = "private.sock";

struct PrivateDaemonOptions {
  std::string program;  ///< empty: the one beside this program, else in $PATH
  std::string folder;   ///< socket, lock and log lie here; made with mode 0700
  std::chrono::milliseconds start_timeout{30000};
  /// Whether a daemon listens at a socket; replaced by tests.
  std::function<bool(const std::string& path)> answers;
};

struct PrivateDaemon {
  std::string socket;
  std::string log_file;
  bool started = false;  ///< by this call
};

/// "lunad" in `here` (this program's folder), else in $PATH. NOT_FOUND says where it was looked
/// for.
Result<std::string> find_daemon_program(const std::filesystem::path& here);

/// The private daemon of this user: the running one, else a new one, detached (own session, own
/// process group) and ending by itself when idle for a minute. A lock lets commands that start
/// together start one. Waits until it answers. UNAVAILABLE, with the log's path and last line, when
/// it ends or stays silent; PERMISSION_DENIED when the folder belongs to somebody else or is open
/// to others.
Result<PrivateDaemon> ensure_private_daemon(const PrivateDaemonOptions& options);

/// What a private daemon is started with.
std::vector<std::string> private_daemon_arguments(const std::string& socket);

}  // namespace luna::client
