#include "tests/integration/daemon_process.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/http_get.h"

extern char** environ;

namespace luna::support {
namespace {

namespace fs = std::filesystem;

std::string bin(const std::string& name) { return std::string(LUNA_BINARY_DIR) + "/bin/" + name; }

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

pid_t spawn(const std::string& program, const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment, const fs::path& out, const fs::path& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (const std::string& entry : environment) envp.push_back(const_cast<char*>(entry.c_str()));
  for (char** entry = environ; *entry; ++entry) envp.push_back(*entry);
  envp.push_back(nullptr);
  pid_t pid = -1;
  const int failed =
      posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(failed, 0) << "cannot start " << program;
  return failed ? -1 : pid;
}

int exit_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/// Reaps `pid`; -1 when it still runs after `limit`.
int wait_with_limit(pid_t pid, std::chrono::milliseconds limit) {
  int status = -1;
  const bool ended = wait_until([&] { return waitpid(pid, &status, WNOHANG) == pid; }, limit);
  return ended ? exit_status(status) : -1;
}

/// Numbers of all processes, from /proc.
std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") == std::string::npos) pids.push_back(std::stoi(name));
  }
  return pids;
}

}  // namespace

std::string clip_vocabulary() {
  if (const char* path = std::getenv("LUNA_CLIP_VOCABULARY")) return path;
  return std::string(std::getenv("HOME")) + "/.cache/luna/clip_merges.txt";
}

pid_t start_program(const std::string& name, const std::vector<std::string>& arguments) {
  return spawn(bin(name), arguments, {}, "/dev/null", "/dev/null");
}

int exit_code_of(pid_t child) { return wait_with_limit(child, std::chrono::seconds(60)); }

std::vector<pid_t> processes_with_environment(const std::string& entry) {
  std::vector<pid_t> found;
  for (pid_t pid : all_processes()) {
    const std::string environment = '\0' + read_text("/proc/" + std::to_string(pid) + "/environ");
    if (environment.find('\0' + entry + '\0') != std::string::npos && process_exists(pid))
      found.push_back(pid);
  }
  return found;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  for (pid_t candidate : all_processes()) {
    const std::string stat = read_text("/proc/" + std::to_string(candidate) + "/stat");
    const auto after_name = stat.rfind(')');
    if (after_name == std::string::npos) continue;
    std::istringstream fields(stat.substr(after_name + 1));
    char state = 0;
    pid_t parent = 0;
    fields >> state >> parent;
    if (parent == pid && state != 'Z') children.push_back(candidate);
  }
  return children;
}

bool process_exists(pid_t pid) {
  const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
  const auto after_name = stat.rfind(')');
  return after_name != std::string::npos && stat.substr(after_name + 2, 1) != "Z";
}

Ended run_program(const std::string& name, const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment) {
  std::string folder = (fs::temp_directory_path() / "luna-run-XXXXXX").string();
  EXPECT_NE(mkdtemp(folder.data()), nullptr);
  const fs::path out = fs::path(folder) / "out", err = fs::path(folder) / "err";
  const pid_t pid = spawn(bin(name), arguments, environment, out, err);
  Ended ended;
  ended.status = wait_with_limit(pid, std::chrono::seconds(120));
  if (ended.status == -1) {
    ADD_FAILURE() << name << " did not end within 120 s";
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  ended.out = read_text(out);
  ended.err = read_text(err);
  fs::remove_all(folder);
  return ended;
}

std::unique_ptr<DaemonProcess> DaemonProcess::start(const fs::path& folder,
                                                    const Options& options) {
  std::unique_ptr<DaemonProcess> daemon(new DaemonProcess());
  daemon->socket_ = folder / "lunad.sock";
  daemon->log_ = folder / "lunad.log";
  if (options.tcp) daemon->tcp_address_ = "127.0.0.1:" + std::to_string(free_port());
  const fs::path config = folder / "config.toml";
  {
    std::ofstream file(config);
    file << "[server]\nunix_socket = \"" << daemon->socket_.string() << "\"\nlisten = \""
         << daemon->tcp_address_ << "\"\n[models]\nroots = [\"" << (folder / "models").string()
         << "\"]\nclip_vocabulary = \"" << clip_vocabulary() << "\"\nuploads = \""
         << (folder / "uploads").string() << "\"\n"
         << options.extra_toml;
  }
  daemon->pid_ = spawn(bin("lunad"), {"--config", config.string()}, {}, daemon->log_, daemon->log_);
  const bool ready = wait_until(
      [&] {
        if (!process_exists(daemon->pid_)) return true;
        if (!fs::exists(daemon->socket_)) return false;
        if (!options.wait_for_worker) return true;
        const StatusInfo status = daemon->status();
        return std::ranges::count(status.workers, "ready", &WorkerInfo::state) > 0;
      },
      std::chrono::seconds(60));
  EXPECT_TRUE(ready && process_exists(daemon->pid_)) << "lunad did not become ready:\n"
                                                     << daemon->log();
  return daemon;
}

DaemonProcess::~DaemonProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  if (wait_with_limit(pid_, std::chrono::seconds(15)) == -1) {
    ADD_FAILURE() << "lunad did not stop within 15 s of SIGTERM:\n" << log();
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

std::string DaemonProcess::log() const { return read_text(log_); }

std::unique_ptr<client::GrpcClient> DaemonProcess::connect(const std::string& to) const {
  client::ConnectOptions options;
  options.address = to.empty() ? address() : to;
  options.client_name = "integration test";
  auto client = client::GrpcClient::connect(options);
  if (!client.ok()) {
    ADD_FAILURE() << client.status().to_string() << "\n" << log();
    return nullptr;
  }
  return std::move(client).value();
}

StatusInfo DaemonProcess::status() const {
  client::ConnectOptions options;
  options.address = address();
  options.client_name = "integration test status";
  auto client = client::GrpcClient::connect(options);
  if (!client.ok()) return {};
  auto status = (*client)->status();
  return status.ok() ? std::move(status).value() : StatusInfo();
}

std::vector<pid_t> DaemonProcess::worker_pids() const {
  std::vector<pid_t> pids;
  for (const WorkerInfo& worker : status().workers) {
    if (worker.pid > 0) pids.push_back(static_cast<pid_t>(worker.pid));
  }
  std::ranges::sort(pids);
  return pids;
}

std::vector<pid_t> DaemonProcess::child_pids() const { return children_of(pid_); }

void DaemonProcess::send(int signal) { kill(pid_, signal); }

int DaemonProcess::wait_for_exit(std::chrono::seconds limit) {
  const int status = wait_with_limit(pid_, limit);
  EXPECT_NE(status, -1) << "lunad still runs:\n" << log();
  if (status != -1) pid_ = -1;
  return status;
}

}  // namespace luna::support
