#include "daemon/ipc/transport/frame_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/local/frame_channel.h"
#include "common/local/memory.h"

namespace luna::ipc {
namespace {

using ::testing::HasSubstr;

constexpr std::uint16_t kVersion = 2;
const Deadline kSoon = Deadline::after(std::chrono::seconds(60));

/// A FrameSocket whose io_context runs only when the test lets it, and a blocking peer.
class FrameSocketTest : public ::testing::Test {
 protected:
  void connect(FrameSocketOptions options = {}) {
    auto [here, there] = *socket_pair();
    options.version = kVersion;
    socket_ = FrameSocket::adopt(io_, std::move(here), options);
    peer_.emplace(std::move(there), kVersion);
    socket_->start({[this](Frame frame) { frames_.push_back(std::move(frame)); },
                    [this](Status status) { closed_.push_back(std::move(status)); }});
  }
  void run_until(const std::function<bool()>& condition) {
    const Deadline deadline = Deadline::after(std::chrono::seconds(30));
    while (!condition() && !deadline.expired()) {
      io_.run_one_for(std::chrono::milliseconds(100));
      io_.restart();
    }
    EXPECT_TRUE(condition());
  }
  void run_until_closed() {
    run_until([this] { return !closed_.empty(); });
  }

  boost::asio::io_context io_{1};
  std::shared_ptr<FrameSocket> socket_;
  std::optional<FrameChannel> peer_;
  std::vector<Frame> frames_;
  std::vector<Status> closed_;
};

TEST_F(FrameSocketTest, ASmallFrameIsWrittenBeforeSendReturns) {
  connect();
  ASSERT_TRUE(socket_->send(4, "hello", {}).ok());
  const Frame frame = *peer_->receive(kSoon);  // the io_context has not run at all
  EXPECT_EQ(frame.message, 4u);
  EXPECT_EQ(frame.body, "hello");
}

TEST_F(FrameSocketTest, WhatTheKernelDoesNotTakeFollowsInOrder) {
  connect();
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(socket_->send(static_cast<std::uint16_t>(i), std::string(20000, 'x'), {}).ok());
  }
  std::vector<std::uint16_t> order;
  std::thread reading([&] {
    for (int i = 0; i < 200; ++i) order.push_back(peer_->receive(kSoon)->message);
    peer_.reset();
  });
  run_until_closed();
  reading.join();
  ASSERT_EQ(order.size(), 200u);
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
}

TEST_F(FrameSocketTest, DescriptorsPassBothWays) {
  connect();
  const BytesPtr memory = *std::move(*MemoryRegion::create("test", 1000)).finish();
  ASSERT_TRUE(socket_->send(1, "down", {memory}).ok());
  Frame down = *peer_->receive(kSoon);
  ASSERT_TRUE(peer_->send(2, "up", *take_attachments(down), kSoon).ok());
  run_until([this] { return !frames_.empty(); });
  EXPECT_EQ(take_attachments(frames_[0])->at(0)->view().size(), 1000u);
}

TEST_F(FrameSocketTest, TheEndOfTheStreamClosesItOnce) {
  connect();
  peer_.reset();
  run_until_closed();
  socket_->close({});
  io_.poll();
  ASSERT_EQ(closed_.size(), 1u);
  EXPECT_EQ(closed_[0].code(), StatusCode::kUnavailable);
  EXPECT_EQ(socket_->send(1, "late", {}).code(), StatusCode::kUnavailable);
}

TEST_F(FrameSocketTest, FramesThatCameBeforeTheEndAreDeliveredFirst) {
  connect();
  ASSERT_TRUE(peer_->send(1, "last words", {}, kSoon).ok());
  peer_.reset();
  ASSERT_TRUE(socket_->send(1, "to nobody", {}).ok());
  run_until_closed();
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].body, "last words");
}

TEST_F(FrameSocketTest, AQueueThatOverflowsClosesWithItsLimitNamed) {
  FrameSocketOptions options;
  options.max_queued_bytes = 1 << 20;
  connect(options);
  Status sent;
  for (int i = 0; i < 100 && sent.ok(); ++i) sent = socket_->send(1, std::string(100000, 'x'), {});
  EXPECT_EQ(sent.code(), StatusCode::kUnavailable);
  run_until_closed();
  EXPECT_EQ(closed_[0].code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(closed_[0].message(), HasSubstr("at most 1048576 may"));
}

TEST_F(FrameSocketTest, ClosingWhenFlushedLetsThePeerReadEverything) {
  connect();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(socket_->send(1, std::string(20000, 'x'), {}).ok());
  socket_->close_when_flushed();
  EXPECT_FALSE(socket_->send(1, "more", {}).ok());
  int received = 0;
  std::thread reading([&] {
    while (peer_->receive(kSoon).ok()) ++received;
  });
  run_until_closed();
  reading.join();
  EXPECT_EQ(received, 50);
  EXPECT_TRUE(closed_[0].ok());
}

TEST_F(FrameSocketTest, FlushingToAPeerThatDoesNotReadEndsInTime) {
  FrameSocketOptions options;
  options.flush_timeout = std::chrono::milliseconds(10);
  connect(options);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(socket_->send(1, std::string(20000, 'x'), {}).ok());
  socket_->close_when_flushed();
  run_until_closed();
  EXPECT_TRUE(closed_[0].ok());
}

TEST_F(FrameSocketTest, WhatIsNoSocketIsReportedAsClosed) {
  socket_ = FrameSocket::adopt(io_, UniqueFd(), {});
  socket_->start({[](Frame) {}, [this](Status status) { closed_.push_back(std::move(status)); }});
  run_until_closed();
  EXPECT_EQ(closed_[0].code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace luna::ipc
