#include "tests/gpu/peer_process.h"

#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace luna {

PeerProcess::PeerProcess() {
  std::signal(SIGPIPE, SIG_IGN);
  int to[2], from[2];
  if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) return;
  to_.reset(to[1]);
  from_.reset(from[0]);
  UniqueFd child_in(to[0]), child_out(from[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDOUT_FILENO);
  const std::string program =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gpu_peer").string();
  std::string name = program;
  char* arguments[] = {name.data(), nullptr};
  pid_t pid = -1;
  if (::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, environ) == 0) pid_ = pid;
  posix_spawn_file_actions_destroy(&actions);
  child_in.reset();
  child_out.reset();
  if (pid_ > 0 && read_line() != "ready") kill();
}

PeerProcess::~PeerProcess() {
  to_.reset();
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
}

void PeerProcess::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string PeerProcess::ask(const std::string& line) {
  const std::string whole = line + "\n";
  if (::write(to_.get(), whole.data(), whole.size()) != static_cast<ssize_t>(whole.size()))
    return "";
  return read_line();
}

std::string PeerProcess::read_line() {
  std::string line;
  for (char c = 0; ::read(from_.get(), &c, 1) == 1;) {
    if (c == '\n') return line;
    line += c;
  }
  return "";
}

}  // namespace luna
