#include "daemon/front/supervisor/child_process.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace luna::front {
namespace {

/// posix_spawn's two opaque arguments, freed together.
class SpawnSetup {
 public:
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  int prepare(int control_fd) {
    sigset_t every;
    sigset_t none;
    ::sigfillset(&every);
    ::sigemptyset(&none);
    for (const int failure : {
             ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0),
             ::posix_spawn_file_actions_adddup2(&actions_, STDERR_FILENO, STDOUT_FILENO),
             ::posix_spawn_file_actions_adddup2(&actions_, control_fd, ChildProcess::kControlFd),
             ::posix_spawn_file_actions_addclosefrom_np(&actions_, ChildProcess::kControlFd + 1),
             ::posix_spawnattr_setpgroup(&attributes_, 0),
             ::posix_spawnattr_setsigdefault(&attributes_, &every),
             ::posix_spawnattr_setsigmask(&attributes_, &none),
             ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP |
                                                          POSIX_SPAWN_SETSIGDEF |
                                                          POSIX_SPAWN_SETSIGMASK),
         }) {
      if (failure != 0) return failure;
    }
    return 0;
  }

  posix_spawn_file_actions_t* actions() { return &actions_; }
  posix_spawnattr_t* attributes() { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::vector<std::string> merged_environment(const std::vector<std::string>& over) {
  const auto name_of = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
  std::vector<std::string> merged = over;
  for (char** entry = environ; *entry; ++entry) {
    const bool replaced = std::ranges::any_of(
        over, [&](const std::string& one) { return name_of(one) == name_of(*entry); });
    if (!replaced) merged.emplace_back(*entry);
  }
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::string ProcessEnd::in_words() const {
  if (signal == 0) return fmt::format("exited with {}", exit_code);
  const char* name = ::sigdescr_np(signal);
  return fmt::format("killed by signal {} ({})", signal, name ? name : "unknown");
}

/// Shared with the watcher: what becomes of the end that it sees.
struct ChildProcess::Ending {
  std::function<void(ProcessEnd)> on_end;  ///< empty once it was called, or nobody waits
  bool reaped = false;
};

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(boost::asio::io_context& io,
                                                          const Command& command,
                                                          std::function<void(ProcessEnd)> on_end) {
  SpawnSetup setup;
  int failure = setup.prepare(command.control_fd);
  std::vector<std::string> arguments = command.arguments;
  arguments.insert(arguments.begin(), command.program);
  std::vector<std::string> environment = merged_environment(command.environment);
  pid_t pid = -1;
  if (failure == 0) {
    failure = ::posix_spawn(&pid, command.program.c_str(), setup.actions(), setup.attributes(),
                            pointers(arguments).data(), pointers(environment).data());
  }
  if (failure != 0) {
    return error(StatusCode::kUnavailable, "cannot start '{}': {}", command.program,
                 std::strerror(failure));
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(io, pid, std::move(on_end)));
}

ChildProcess::ChildProcess(boost::asio::io_context& io, int pid,
                           std::function<void(ProcessEnd)> on_end)
    : pid_(pid), ending_(std::make_shared<Ending>(std::move(on_end))) {
  // The watcher only sees the end; the io_context's thread reaps, so that the pid is never
  // another's while signal() may use it.
  watcher_ = std::thread([&io, pid, ending = ending_] {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 &&
           errno == EINTR) {
    }
    boost::asio::post(io, [pid, ending] {
      if (std::exchange(ending->reaped, true)) return;
      int status = 0;
      ::waitpid(pid, &status, 0);
      ProcessEnd end;
      if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
      if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
      if (auto on_end = std::exchange(ending->on_end, nullptr)) on_end(end);
    });
  });
}

ChildProcess::~ChildProcess() {
  ending_->on_end = nullptr;
  signal(SIGKILL);
  watcher_.join();
  if (!std::exchange(ending_->reaped, true)) ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::tell_end_to(std::function<void(ProcessEnd)> on_end) {
  ending_->on_end = std::move(on_end);
}

void ChildProcess::signal(int number) {
  if (!ending_->reaped) ::kill(pid_, number);
}

}  // namespace luna::front
