#include "client/facade/private_daemon.h"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace luna::client {
namespace {

namespace fs = std::filesystem;

class PrivateDaemonTest : public testing::Test {
 protected:
  /// A program in place of lunad; $2 is unix:SOCKET.
  std::string program(const std::string& body) {
    const std::string path = dir_.write("lunad", "#!/bin/sh\n" + body + "\n");
    ::chmod(path.c_str(), 0755);
    return path;
  }

  PrivateDaemonOptions options(const std::string& body) {
    PrivateDaemonOptions options;
    options.program = program(body);
    options.folder = dir_.file("run");
    options.start_timeout = std::chrono::seconds(10);
    options.answers = [](const std::string& path) { return fs::exists(path); };
    return options;
  }

  support::TempDir dir_;
};

TEST_F(PrivateDaemonTest, StartsOneAndWaitsUntilItAnswers) {
  const auto daemon = ensure_private_daemon(options("echo hello; touch \"${2#unix:}\""));
  ASSERT_TRUE(daemon.ok()) << daemon.status().to_string();
  EXPECT_TRUE(daemon->started);
  EXPECT_EQ(daemon->socket, dir_.file("run/private.sock"));
  EXPECT_TRUE(
      support::wait_until([&] { return support::read_file(daemon->log_file) == "hello\n"; }));
  struct stat info{};
  ASSERT_EQ(::stat(dir_.file("run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(PrivateDaemonTest, UsesTheOneThatRuns) {
  fs::create_directory(dir_.file("run"));
  fs::permissions(dir_.file("run"), fs::perms::owner_all);
  dir_.write("run/private.sock", "");
  const auto daemon = ensure_private_daemon(options("exit 1"));
  ASSERT_TRUE(daemon.ok());
  EXPECT_FALSE(daemon->started);
}

TEST_F(PrivateDaemonTest, CommandsThatStartTogetherStartOne) {
  const PrivateDaemonOptions wanted =
      options("echo x >> \"${2#unix:}.count\"; touch \"${2#unix:}\"");
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto daemon = ensure_private_daemon(wanted);
      if (daemon.ok() && daemon->started) ++started;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(started, 1);
  EXPECT_EQ(support::read_file(dir_.file("run/private.sock.count")), "x\n");
}

TEST_F(PrivateDaemonTest, AnEndBeforeTheFirstAnswerShowsTheLog) {
  const auto daemon = ensure_private_daemon(options("echo 'no such key: serverr' >&2; exit 3"));
  ASSERT_FALSE(daemon.ok());
  EXPECT_EQ(daemon.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(daemon.status().message().find("ended with code 3: no such key: serverr"),
            std::string::npos);
  EXPECT_NE(daemon.status().message().find(dir_.file("run/private.log")), std::string::npos);
}

TEST_F(PrivateDaemonTest, SilenceEndsWithTheTimeout) {
  PrivateDaemonOptions wanted = options("exec sleep 30");
  wanted.start_timeout = std::chrono::milliseconds(100);
  const auto daemon = ensure_private_daemon(wanted);
  ASSERT_FALSE(daemon.ok());
  EXPECT_NE(daemon.status().message().find("did not answer"), std::string::npos);
}

TEST_F(PrivateDaemonTest, AProgramThatIsNotThereIsNamed) {
  PrivateDaemonOptions wanted = options("");
  wanted.program = dir_.file("none");
  const auto daemon = ensure_private_daemon(wanted);
  ASSERT_FALSE(daemon.ok());
  EXPECT_NE(daemon.status().message().find(dir_.file("none")), std::string::npos);
}

TEST_F(PrivateDaemonTest, AFolderOpenToOthersIsRefused) {
  fs::create_directory(dir_.file("run"));
  fs::permissions(dir_.file("run"), fs::perms::all);
  EXPECT_EQ(ensure_private_daemon(options("touch \"${2#unix:}\"")).status().code(),
            StatusCode::kPermissionDenied);
}

TEST_F(PrivateDaemonTest, TheDaemonIsLookedForBesideTheProgramThenInPath) {
  program("true");
  EXPECT_EQ(*find_daemon_program(dir_.path()), dir_.file("lunad"));
  const char* path = std::getenv("PATH");
  const std::string before = path ? path : "";
  ::setenv("PATH", ("/nowhere:" + dir_.path()).c_str(), 1);
  EXPECT_EQ(*find_daemon_program("/nowhere"), dir_.file("lunad"));
  ::setenv("PATH", "/nowhere", 1);
  EXPECT_EQ(find_daemon_program("/nowhere").status().code(), StatusCode::kNotFound);
  ::setenv("PATH", before.c_str(), 1);
}

}  // namespace
}  // namespace luna::client
