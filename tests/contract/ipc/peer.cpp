#include "tests/contract/ipc/peer.h"

#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/local/descriptors.h"
#include "common/local/socket.h"
#include "tests/contract/ipc/echo_worker.h"

extern char** environ;

namespace luna::ipc {
namespace {

constexpr char kVersionVariable[] = "LUNA_IPC_PEER_VERSION";
constexpr int kPeerFd = 3;

class ThreadPeer final : public Peer {
 public:
  ThreadPeer(UniqueFd socket, UniqueFd worker_end, LinkOptions options)
      : Peer(std::move(socket)), hand_on_socket_(*duplicate(worker_end.get())) {
    thread_ = std::thread([this, options, fd = worker_end.release()] {
      status_ = serve_as_echo_worker(UniqueFd(fd), options, [this] { kill(); });
      const std::lock_guard lock(mutex_);
      hand_on_socket_.reset();
    });
  }
  ~ThreadPeer() override {
    if (thread_.joinable()) join();
  }
  void kill() override {
    const std::lock_guard lock(mutex_);
    if (hand_on_socket_) ::shutdown(hand_on_socket_.get(), SHUT_RDWR);
  }
  StatusCode join() override {
    thread_.join();
    return status_.code();
  }

 private:
  std::mutex mutex_;
  UniqueFd hand_on_socket_;
  Status status_;
  std::thread thread_;
};

/// This test program once more, started with posix_spawn to run nothing but DISABLED_EchoWorker
/// below.
class ProcessPeer final : public Peer {
 public:
  ProcessPeer(UniqueFd socket, const UniqueFd& worker_end, LinkOptions options)
      : Peer(std::move(socket)) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, worker_end.get(), kPeerFd);
    std::string version = fmt::format("{}={}", kVersionVariable, options.protocol_version);
    std::vector<char*> environment = {version.data()};
    for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
    environment.push_back(nullptr);
    char name[] = "ipc-peer";
    char filter[] = "--gtest_filter=PeerProgram.DISABLED_EchoWorker";
    char disabled[] = "--gtest_also_run_disabled_tests";
    char* arguments[] = {name, filter, disabled, nullptr};
    const int failure =
        ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments, environment.data());
    EXPECT_EQ(failure, 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~ProcessPeer() override {
    if (pid_ > 0) {
      kill();
      join();
    }
  }
  void kill() override { ::kill(pid_, SIGKILL); }
  StatusCode join() override {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? static_cast<StatusCode>(WEXITSTATUS(status))
                             : StatusCode::kUnavailable;
  }

 private:
  pid_t pid_ = 0;
};

TEST(PeerProgram, DISABLED_EchoWorker) {
  const char* version = std::getenv(kVersionVariable);
  ASSERT_NE(version, nullptr) << "only started by ProcessPeer";
  LinkOptions options;
  options.protocol_version = static_cast<std::uint32_t>(std::stoul(version));
  const Status closed = serve_as_echo_worker(UniqueFd(kPeerFd), options, [] { ::raise(SIGKILL); });
  ::_exit(static_cast<int>(closed.code()));
}

}  // namespace

std::unique_ptr<Peer> Peer::start(PeerKind kind, LinkOptions options) {
  auto [front_end, worker_end] = *socket_pair();
  if (kind == PeerKind::kThread) {
    return std::make_unique<ThreadPeer>(std::move(front_end), std::move(worker_end), options);
  }
  return std::make_unique<ProcessPeer>(std::move(front_end), worker_end, options);
}

}  // namespace luna::ipc
