#include "client/facade/private_daemon.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/deadline.h"
#include "common/base/unique_fd.h"

extern char** environ;

namespace luna::client {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPollInterval{20};

std::string reason(int number) { return std::generic_category().message(number); }

Status prepare_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return error(StatusCode::kPermissionDenied, "cannot make the folder '{}': {}", folder,
                 reason(errno));
  }
  struct stat info{};
  if (::lstat(folder.c_str(), &info) != 0) {
    return error(StatusCode::kPermissionDenied, "cannot look at '{}': {}", folder, reason(errno));
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return error(StatusCode::kPermissionDenied,
                 "'{}' must be a folder of this user with mode 0700 (it is mode {:04o}, user {}): "
                 "chmod or remove it",
                 folder, info.st_mode & 07777, info.st_uid);
  }
  return {};
}

/// An exclusive lock on a file, for this object's life.
class FileLock {
 public:
  static Result<FileLock> acquire(const std::string& path, const Deadline& deadline) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd)
      return error(StatusCode::kPermissionDenied, "cannot open '{}': {}", path, reason(errno));
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (deadline.expired()) {
        return error(StatusCode::kUnavailable,
                     "another command is starting a daemon and does not come to an end (lock '{}')",
                     path);
      }
      std::this_thread::sleep_for(kPollInterval);
    }
    return FileLock(std::move(fd));
  }

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// File actions and attributes of a child that shares nothing with us but its log.
class SpawnSetup {
 public:
  explicit SpawnSetup(const std::string& log_file) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, 1, log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions_, 1, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  Result<pid_t> spawn(const std::string& program, const std::vector<std::string>& arguments) const {
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_t pid = -1;
    const int failure =
        ::posix_spawn(&pid, program.c_str(), &actions_, &attributes_, argv.data(), environ);
    if (failure != 0) {
      return error(StatusCode::kUnavailable, "cannot start '{}': {}", program, reason(failure));
    }
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::string last_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::string last;
  while (std::getline(in, line)) {
    if (!line.empty()) last = line;
  }
  return last.empty() ? "(the log is empty)" : last.substr(0, 500);
}

/// Collects the child's exit whenever it comes, so that no zombie is left in a program that runs
/// on.
void reap_later(pid_t pid) {
  std::thread([pid] { ::waitpid(pid, nullptr, 0); }).detach();
}

Status wait_until_it_answers(const PrivateDaemonOptions& options, const PrivateDaemon& daemon,
                             pid_t pid, const Deadline& deadline) {
  while (!options.answers(daemon.socket)) {
    int exit = 0;
    if (::waitpid(pid, &exit, WNOHANG) == pid) {
      const std::string how = WIFSIGNALED(exit)
                                  ? fmt::format("was killed by signal {}", WTERMSIG(exit))
                                  : fmt::format("ended with code {}", WEXITSTATUS(exit));
      return error(StatusCode::kUnavailable, "the private lunad {}: {} (log: {})", how,
                   last_line(daemon.log_file), daemon.log_file);
    }
    if (deadline.expired()) {
      ::kill(pid, SIGTERM);
      reap_later(pid);
      return error(StatusCode::kUnavailable,
                   "the private lunad did not answer within {} s: {} (log: {})",
                   std::chrono::duration_cast<std::chrono::seconds>(options.start_timeout).count(),
                   last_line(daemon.log_file), daemon.log_file);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  reap_later(pid);
  return {};
}

fs::path own_folder() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
}

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::vector<std::string> private_daemon_arguments(const std::string& socket) {
  return {"--address", "unix:" + socket, "--listen",    "none",
          "--metrics", "none",           "--idle-exit", "60"};
}

Result<std::string> find_daemon_program(const fs::path& here) {
  if (is_program(here / "lunad")) return (here / "lunad").string();
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "";
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    if (folder.starts_with('/') && is_program(fs::path(folder) / "lunad")) {
      return (fs::path(folder) / "lunad").string();
    }
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return error(StatusCode::kNotFound, "no program 'lunad' in '{}' nor in $PATH", here.string());
}

Result<PrivateDaemon> ensure_private_daemon(const PrivateDaemonOptions& options) {
  LUNA_RETURN_IF_ERROR(prepare_folder(options.folder));
  PrivateDaemon daemon{fmt::format("{}/{}", options.folder, kPrivateSocket),
                       options.folder + "/private.log", false};
  if (options.answers(daemon.socket)) return daemon;
  const Deadline deadline = Deadline::after(options.start_timeout);
  LUNA_ASSIGN_OR_RETURN(const FileLock lock,
                        FileLock::acquire(options.folder + "/private.lock", deadline));
  if (options.answers(daemon.socket)) return daemon;

  std::string program = options.program;
  if (program.empty()) {
    LUNA_ASSIGN_OR_RETURN(program, find_daemon_program(own_folder()));
  }
  const SpawnSetup setup(daemon.log_file);
  LUNA_ASSIGN_OR_RETURN(const pid_t pid,
                        setup.spawn(program, private_daemon_arguments(daemon.socket)));
  LUNA_RETURN_IF_ERROR(wait_until_it_answers(options, daemon, pid, deadline));
  daemon.started = true;
  return daemon;
}

}  // namespace luna::client
