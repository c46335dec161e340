// What a link does with a peer that does not keep to the protocol: it closes with a status that
// says what was found, answers every job, and keeps no descriptor.
#include <array>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "common/local/frame_channel.h"
#include "common/local/memory.h"
#include "daemon/ipc/protocol/codec.h"
#include "daemon/ipc/session/front_link.h"
#include "tests/contract/ipc/front_side.h"

namespace luna::ipc {
namespace {

using ::testing::HasSubstr;

const Deadline kSoon = Deadline::after(std::chrono::seconds(60));

void send(FrameChannel& channel, const Message& message) {
  EncodedMessage encoded = encode(message);
  const Status sent = channel.send(static_cast<std::uint16_t>(message.index()),
                                   std::move(encoded.body), std::move(encoded.attachments), kSoon);
  ASSERT_TRUE(sent.ok()) << sent.to_string();
}

/// A front whose worker is this test, byte for byte.
class RogueWorker : public ::testing::Test {
 protected:
  void connect(LinkOptions options = {}) {
    auto [front_end, own_end] = *socket_pair();
    front_.emplace(std::move(front_end), options);
    worker_.emplace(std::move(own_end), kProtocolVersion);
  }
  void TearDown() override {
    front_.reset();
    worker_.reset();
  }
  void send_bytes(std::string_view bytes, std::span<const int> descriptors = {}) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    ASSERT_EQ(send_some(worker_->fd(), {&piece, 1}, descriptors)->bytes, bytes.size());
  }
  void expect_closed(StatusCode code, const std::string& saying) {
    const Status& status = front_->closed.get();
    EXPECT_EQ(status.code(), code) << status.to_string();
    EXPECT_THAT(status.message(), HasSubstr(saying));
  }

  std::optional<FrontSide> front_;
  std::optional<FrameChannel> worker_;
};

TEST_F(RogueWorker, GarbageBytesCloseTheLinkAndAnswerItsJobs) {
  connect();
  const auto outcome = front_->run(TokenizeRequest{"text"});
  send_bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect_closed(StatusCode::kInvalidArgument, "expected a frame");
  EXPECT_EQ(outcome->status().code(), StatusCode::kUnavailable);
}

TEST_F(RogueWorker, DescriptorsThatCameWithGarbageAreClosed) {
  const std::size_t before = open_descriptors();
  connect();
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::vector<int> many(40, null.get());
  send_bytes("not a frame, but descriptors and bytes enough for a header", many);
  expect_closed(StatusCode::kInvalidArgument, "expected a frame");
  EXPECT_EQ(open_descriptors(), before + 2 + 3)
      << "the rogue's socket, its file, and the io_context";
}

TEST_F(RogueWorker, DescriptorsOfACompleteButMeaninglessMessageAreClosedToo) {
  const std::size_t before = open_descriptors();
  connect();
  MemoryRegion region = *MemoryRegion::create("rogue", 10);
  ASSERT_TRUE(worker_->send(0, "?", {*std::move(region).finish()}, kSoon).ok());
  expect_closed(StatusCode::kInvalidArgument, "the peer broke the protocol: message number 63");
  EXPECT_EQ(open_descriptors(), before + 1 + 3) << "the rogue's socket and the io_context";
}

TEST_F(RogueWorker, MemoryThatCouldShrinkIsNotMapped) {
  connect();
  class Shrinkable final : public Bytes {
   public:
    Shrinkable() { EXPECT_EQ(::ftruncate(fd_.get(), sizeof(said_)), 0); }
    std::span<const std::byte> view() const override { return said_; }
    int fd() const override { return fd_.get(); }

   private:
    const std::array<std::byte, 16> said_{};
    const UniqueFd fd_{::memfd_create("shrinkable", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  };
  ASSERT_TRUE(worker_->send(0, "hello", {std::make_shared<Shrinkable>()}, kSoon).ok());
  expect_closed(StatusCode::kInvalidArgument, "sealed against shrinking");
}

TEST_F(RogueWorker, AMessageBeforeHelloIsRefusedByName) {
  connect();
  send(*worker_, WorkerToFrontHeartbeat{});
  expect_closed(StatusCode::kInvalidArgument,
                "expected WorkerToFrontHello first, found WorkerToFrontHeartbeat");
}

TEST_F(RogueWorker, AMessageOfTheOtherDirectionIsRefusedByName) {
  connect();
  send(*worker_, WorkerToFrontHello{});
  send(*worker_, FrontToWorkerDrain{});
  expect_closed(StatusCode::kInvalidArgument, "found FrontToWorkerDrain");
}

TEST_F(RogueWorker, AFrameThatHoldsAnotherMessageThanItsHeaderSaysIsRefused) {
  connect();
  ASSERT_TRUE(worker_->send(7, encode(WorkerToFrontHello{}).body, {}, kSoon).ok());
  expect_closed(StatusCode::kInvalidArgument, "a frame of message 7 holds WorkerToFrontHello");
}

TEST_F(RogueWorker, AVersionThatDiffersOnlyInsideHelloIsNamedToo) {
  connect();
  send(*worker_, WorkerToFrontHello{12, 1});
  expect_closed(StatusCode::kFailedPrecondition,
                fmt::format("protocol version 12, this side version {}", kProtocolVersion));
}

TEST_F(RogueWorker, SilenceInsteadOfAHandshakeEndsTheLink) {
  LinkOptions options;
  options.handshake_timeout = std::chrono::milliseconds(10);
  connect(options);
  const auto outcome = front_->run(TokenizeRequest{"text"});
  expect_closed(StatusCode::kDeadlineExceeded, "said nothing within 10 ms");
  EXPECT_EQ(outcome->status().code(), StatusCode::kUnavailable);
}

TEST_F(RogueWorker, AStreamThatEndsInTheMiddleOfAMessageSaysSo) {
  connect();
  send_bytes(std::string_view("LUNA\1\0", 6));
  worker_.reset();
  expect_closed(StatusCode::kUnavailable, "in the middle of a message");
}

TEST_F(RogueWorker, ResultsOfJobsThatNobodyKnowsAreIgnored) {
  connect();
  send(*worker_, WorkerToFrontHello{});
  send(*worker_, WorkerToFrontDone{{404}, Status(StatusCode::kInternal, "?")});
  send(*worker_, WorkerToFrontProgress{{404}, {}});
  send(*worker_, WorkerToFrontReady{{}, "still there"});
  EXPECT_EQ(front_->ready.get(), "still there");
}

TEST_F(RogueWorker, AWorkerThatDoesNotReadOverflowsTheQueueAndLosesTheLink) {
  LinkOptions options;
  options.max_queued_bytes = 1 << 20;
  connect(options);
  send(*worker_, WorkerToFrontHello{});
  send(*worker_, WorkerToFrontReady{});
  front_->ready.get();
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (int i = 0; i < 100; ++i) {
    outcomes.push_back(front_->run(TokenizeRequest{std::string(60000, 'x')}));
  }
  expect_closed(StatusCode::kResourceExhausted, "a peer that does not read; at most 1048576 may");
  for (const auto& outcome : outcomes) {
    EXPECT_EQ(outcome->status().code(), StatusCode::kUnavailable);
  }
}

TEST_F(RogueWorker, AJobCancelledBeforeTheHandshakeIsNeverSent) {
  connect();
  const auto cancelled = front_->run(TokenizeRequest{"first"});
  front_->link().cancel(front_->last_id());
  const auto sent = front_->run(TokenizeRequest{"second"});
  EXPECT_EQ(cancelled->status().code(), StatusCode::kCancelled);
  send(*worker_, WorkerToFrontHello{});
  ASSERT_EQ(worker_->receive(kSoon)->message, 1u) << "the welcome";
  Frame frame = *worker_->receive(kSoon);
  const Message message = *decode(frame.body, {});
  EXPECT_EQ(std::get<TokenizeRequest>(std::get<FrontToWorkerRun>(message).job.request).text,
            "second");
}

TEST_F(RogueWorker, AJobIdInUseIsRefusedAndTheFirstJobGoesOn) {
  connect();
  Job job;
  job.id = {7};
  const auto first = front_->run(job);
  EXPECT_EQ(front_->run(job)->status().code(), StatusCode::kAlreadyExists);
  EXPECT_FALSE(first->done.arrived());
}

TEST_F(RogueWorker, AJobTooLargeForAFrameFailsAloneAndTheLinkGoesOn) {
  connect();
  send(*worker_, WorkerToFrontHello{});
  const auto huge = front_->run(TokenizeRequest{std::string(17 << 20, 'x')});
  EXPECT_EQ(huge->status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(huge->status().message(), HasSubstr("at most 16777216 travel"));
  EXPECT_FALSE(front_->closed.arrived());
}

TEST(RogueFront, AWorkersResultTooLargeForAFrameEndsTheJobWithAnError) {
  auto [front_end, worker_end] = *socket_pair();
  FrameChannel front(std::move(front_end), kProtocolVersion);
  IoThread io;
  Arrival<Status> closed;
  const auto link = FrontLink::adopt(
      io.context(), worker_end.release(),
      {[](WorkerId, const WorkerSettings&) {}, [](const Job&) {}, [](JobId) {}, [] {},
       [](const std::vector<std::string>&) {}, [&](const Status& status) { closed.set(status); }});
  link->send_done({5}, JobReply(TokenizeReply{{}, {std::string(17 << 20, 'x')}}));
  link->close_when_flushed();
  EXPECT_EQ(front.receive(kSoon)->message, 0u) << "hello";
  const Message message = *decode(front.receive(kSoon)->body, {});
  const auto& done = std::get<WorkerToFrontDone>(message);
  EXPECT_EQ(done.job, JobId{5});
  EXPECT_EQ(done.result.status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(closed.get().ok());
  EXPECT_EQ(front.receive(kSoon).status().code(), StatusCode::kUnavailable);
}

TEST(RogueFront, AWorkerWaitsForItsWelcomeForAsLongAsItsFrontLives) {
  auto [front_end, worker_end] = *socket_pair();
  FrameChannel front(std::move(front_end), kProtocolVersion);
  IoThread io;
  Arrival<Status> closed;
  Arrival<bool> welcomed;
  LinkOptions options;
  options.handshake_timeout = std::chrono::milliseconds(1);
  const auto link = FrontLink::adopt(
      io.context(), worker_end.release(),
      {[&](WorkerId, const WorkerSettings&) { welcomed.set(true); }, nullptr, nullptr, nullptr,
       nullptr, [&](const Status& status) { closed.set(status); }},
      options);
  ASSERT_TRUE(front.receive(kSoon).ok()) << "hello";
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const EncodedMessage welcome = encode(FrontToWorkerWelcome{kProtocolVersion, WorkerId{1}, {}});
  ASSERT_TRUE(front.send(static_cast<std::uint8_t>(welcome.body[0]), welcome.body, {}, kSoon).ok());
  EXPECT_TRUE(welcomed.get());
  link->close_when_flushed();
  EXPECT_TRUE(closed.get().ok());
}

TEST(RogueFront, AFrontThatDoesNotReadLosesTheLink) {
  auto [front_end, worker_end] = *socket_pair();
  IoThread io;
  Arrival<Status> closed;
  LinkOptions options;
  options.max_queued_bytes = 1 << 20;
  const auto link = FrontLink::adopt(io.context(), worker_end.release(),
                                     {nullptr, nullptr, nullptr, nullptr, nullptr,
                                      [&](const Status& status) { closed.set(status); }},
                                     options);
  for (int i = 0; i < 100; ++i) {
    link->send_done({5}, Status(StatusCode::kInternal, std::string(60000, 'x')));
  }
  EXPECT_EQ(closed.get().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace luna::ipc
