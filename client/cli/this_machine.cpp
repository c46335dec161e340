#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/doctor.h"
#include "client/facade/address.h"
#include "common/base/unique_fd.h"

namespace luna::client {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListing = 1 << 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  while (text.size() < kMaxListing) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

/// Asks the dynamic loader to list what it would load; nothing of the program itself is run.
Result<std::string> loaded_libraries(const std::string& program) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return error(StatusCode::kResourceExhausted, "no pipe for listing libraries: {}",
                 std::strerror(errno));
  }
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writer.get(), 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  std::string path = "PATH=" + environment("PATH");
  std::string library_path = "LD_LIBRARY_PATH=" + environment("LD_LIBRARY_PATH");
  char trace[] = "LD_TRACE_LOADED_OBJECTS=1";
  char* variables[] = {trace, path.data(), library_path.data(), nullptr};
  char* arguments[] = {const_cast<char*>(program.c_str()), nullptr};
  pid_t pid = -1;
  const int failure = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, variables);
  posix_spawn_file_actions_destroy(&actions);
  writer.reset();
  if (failure != 0) {
    return error(StatusCode::kFailedPrecondition, "'{}' cannot be run: {}", program,
                 std::strerror(failure));
  }
  std::string listing = read_all(reader.get());
  ::waitpid(pid, nullptr, 0);
  return listing;
}

}  // namespace

Machine this_machine() {
  Machine machine;
  std::error_code ignored;
  machine.program_folder = fs::read_symlink("/proc/self/exe", ignored).parent_path().string();
  machine.runtime_folder = runtime_folder();
  machine.home = environment("HOME");
  machine.share = environment("LUNA_SHARE");
  machine.loaded_libraries = loaded_libraries;
  return machine;
}

}  // namespace luna::client
