#include "common/local/socket.h"

#include <array>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace luna {
namespace {

using ::testing::HasSubstr;

const Deadline kSoon = Deadline::after(std::chrono::seconds(60));

std::size_t send_text(const UniqueFd& fd, std::string_view text, std::span<const int> fds = {}) {
  const iovec piece{const_cast<char*>(text.data()), text.size()};
  return send_some(fd.get(), {&piece, 1}, fds)->bytes;
}

TEST(SocketPair, CarriesBytesAndSaysWhenThereAreNoneAndWhenTheyEnd) {
  auto [a, b] = *socket_pair();
  std::array<std::byte, 16> buffer;
  std::vector<UniqueFd> fds;
  EXPECT_EQ(receive_some(b.get(), buffer, fds)->state, TransferState::kWouldBlock);
  EXPECT_EQ(send_text(a, "abc"), 3u);
  EXPECT_EQ(receive_some(b.get(), buffer, fds)->bytes, 3u);
  a.reset();
  EXPECT_EQ(receive_some(b.get(), buffer, fds)->state, TransferState::kEnd);
}

TEST(SocketPair, DescriptorsArriveCloseOnExecAndLeadToTheSameFile) {
  auto [a, b] = *socket_pair();
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int sent[] = {file.get(), file.get()};
  send_text(a, "x", sent);
  std::array<std::byte, 16> buffer;
  std::vector<UniqueFd> fds;
  ASSERT_TRUE(receive_some(b.get(), buffer, fds).ok());
  ASSERT_EQ(fds.size(), 2u);
  EXPECT_TRUE(::fcntl(fds[0].get(), F_GETFD) & FD_CLOEXEC);
  struct stat here{}, there{};
  ::fstat(file.get(), &here);
  ::fstat(fds[1].get(), &there);
  EXPECT_EQ(here.st_ino, there.st_ino);
}

TEST(SocketPair, MoreDescriptorsThanMayTravelAreRefusedBeforeTheyAreSent) {
  auto [a, b] = *socket_pair();
  const std::vector<int> many(kMaxDescriptors + 1, 0);
  const iovec piece{const_cast<char*>("x"), 1};
  EXPECT_EQ(send_some(a.get(), {&piece, 1}, many).status().code(), StatusCode::kInvalidArgument);
}

TEST(SocketPair, SendingToAClosedPeerIsAnErrorAndNoSignal) {
  auto [a, b] = *socket_pair();
  b.reset();
  const iovec piece{const_cast<char*>("x"), 1};
  EXPECT_EQ(send_some(a.get(), {&piece, 1}, {}).status().code(), StatusCode::kUnavailable);
}

TEST(SocketPair, WaitingEndsAtTheDeadline) {
  auto [a, b] = *socket_pair();
  EXPECT_EQ(wait_readable(a.get(), Deadline::after(std::chrono::milliseconds(1))).code(),
            StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(wait_writable(a.get(), kSoon).ok());
}

TEST(ListenUnix, AcceptsConnectionsAndKnowsWhoTheyAre) {
  const support::TempDir folder;
  const UniqueFd listener = *listen_unix(folder.file("s"));
  const UniqueFd client = *connect_unix(folder.file("s"));
  const UniqueFd server = *accept_unix(listener.get(), kSoon);
  EXPECT_EQ(peer_credentials(server.get())->pid, ::getpid());
  EXPECT_EQ(peer_credentials(server.get())->uid, ::getuid());
  EXPECT_EQ(send_text(client, "abc"), 3u);
}

TEST(ListenUnix, TheSocketBelongsToItsUserAlone) {
  const support::TempDir folder;
  const UniqueFd listener = *listen_unix(folder.file("s"));
  struct stat info{};
  ::stat(folder.file("s").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(ListenUnix, ReplacesASocketThatNobodyListensOnAndNoOther) {
  const support::TempDir folder;
  const std::string path = folder.file("s");
  {
    const UniqueFd crashed = *listen_unix(path);
  }
  const UniqueFd listener = *listen_unix(path);
  EXPECT_EQ(listen_unix(path).status().code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(listen_unix(folder.write("file", "x")).status().message(),
              HasSubstr("is not a socket"));
}

TEST(ListenUnix, AcceptingEndsAtTheDeadline) {
  const support::TempDir folder;
  const UniqueFd listener = *listen_unix(folder.file("s"));
  EXPECT_EQ(
      accept_unix(listener.get(), Deadline::after(std::chrono::milliseconds(1))).status().code(),
      StatusCode::kDeadlineExceeded);
}

TEST(ConnectUnix, SaysWhetherThereIsNoSocketOrNobodyBehindIt) {
  const support::TempDir folder;
  EXPECT_EQ(connect_unix(folder.file("none")).status().code(), StatusCode::kNotFound);
  {
    const UniqueFd crashed = *listen_unix(folder.file("s"));
  }
  EXPECT_EQ(connect_unix(folder.file("s")).status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(connect_unix(std::string(108, 'x')).status().message(), HasSubstr("1 to 107"));
}

}  // namespace
}  // namespace luna
