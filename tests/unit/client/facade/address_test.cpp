#include "client/facade/address.h"

#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace luna::client {
namespace {

/// A socket that listens for this object's life.
class Listener {
 public:
  explicit Listener(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.data(), path.size());
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0 ||
        ::listen(fd_, 4) != 0) {
      ADD_FAILURE() << "cannot listen at " << path;
    }
  }
  ~Listener() { ::close(fd_); }

 private:
  int fd_;
};

TEST(Address, UnixPathsAndHostsWithPortsAreAccepted) {
  for (const char* good :
       {"unix:/run/luna.sock", "127.0.0.1:50551", "box.example:1", "[::1]:65535"}) {
    EXPECT_TRUE(check_address(good).ok()) << good;
  }
}

TEST(Address, AnythingElseIsRefusedWithTheTwoForms) {
  for (const char* bad :
       {"", "localhost", ":50551", "host:", "host:0", "host:65536", "host:12x", "unix:rel"}) {
    EXPECT_EQ(check_address(bad).code(), StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_NE(check_address("localhost").message().find("unix:/path/to/socket or host:port"),
            std::string::npos);
  EXPECT_FALSE(check_address("unix:/" + std::string(200, 'x')).ok());
}

TEST(Address, SocketPathIsWhatFollowsUnix) {
  EXPECT_EQ(socket_path("unix:/a/b"), "/a/b");
  EXPECT_EQ(socket_path("host:1"), "");
}

TEST(Address, TheRuntimeFolderComesFirst) {
  const support::TempDir dir;
  ::setenv("XDG_RUNTIME_DIR", dir.path().c_str(), 1);
  EXPECT_EQ(runtime_folder(), dir.path() + "/luna");
  ASSERT_EQ(user_sockets().size(), 2u);
  EXPECT_EQ(user_sockets()[0], dir.path() + "/luna/lunad.sock");
  ::unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(runtime_folder(), fmt::format("/tmp/luna-{}", ::geteuid()));
  EXPECT_EQ(user_sockets().size(), 1u);
}

TEST(Address, ASocketAnswersOnlyWhileSomebodyListens) {
  const support::TempDir dir;
  const std::string path = dir.file("s");
  EXPECT_FALSE(socket_answers(path));
  {
    const Listener listener(path);
    EXPECT_TRUE(socket_answers(path));
  }
  EXPECT_FALSE(socket_answers(path));
  EXPECT_FALSE(socket_answers(std::string(300, 'x')));
}

}  // namespace
}  // namespace luna::client
