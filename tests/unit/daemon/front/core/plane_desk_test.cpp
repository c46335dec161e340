#include "daemon/front/core/plane_desk.h"

#include "common/local/host_id.h"
#include "common/local/memory.h"
#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

class Desk : public CoreTest {
 protected:
  PlaneDesk& desk() { return core().planes(); }
  std::string session_with_plane() {
    desk().serve("/run/lunad.sock.local");
    const std::string session = core().open_session("test", host_id());
    EXPECT_TRUE(desk().claim(desk().offer(session)->token, {}).ok());
    EXPECT_TRUE(desk().prove(session).ok());
    return session;
  }
  static BytesPtr sealed(std::size_t size) {
    return *std::move(*MemoryRegion::create("test", size)).finish();
  }
  static BytesPtr writable(std::size_t size) {
    return std::move(*MemoryRegion::create("test", size)).share();
  }
  static TensorSpec bytes(std::size_t size) {
    return {DType::kU8, {static_cast<std::int64_t>(size)}};
  }
  static JobReply reply_with(std::size_t size) {
    return VaeDecodeReply{{bytes(size), sealed(size)}};
  }
  static const TensorRef& pixels(const JobReply& reply) {
    return std::get<VaeDecodeReply>(reply).pixels;
  }
};

TEST_F(Desk, LargeResultsOfSessionsWithThePlaneBecomeRegions) {
  const std::string session = session_with_plane();
  JobReply large = reply_with(PlaneDesk::kRegionBytes + 1), small = reply_with(100);
  const BytesPtr memory = pixels(large).host_bytes();
  const auto ids = desk().hand_over(session, large);
  ASSERT_EQ(ids.size(), 1u);
  EXPECT_EQ(std::get<SharedRegion>(pixels(large).place), (SharedRegion{ids[0], 0}));
  EXPECT_EQ((*desk().take(session, ids[0]))->fd(), memory->fd()) << "the worker's own descriptor";
  EXPECT_TRUE(desk().hand_over(session, small).empty());
  EXPECT_TRUE(pixels(small).host_bytes());
}

TEST_F(Desk, OtherSessionsGetTheirResultsInsideTheReply) {
  const std::string plain = core().open_session("plain");
  for (const std::string& session : {plain, std::string()}) {
    JobReply reply = reply_with(1 << 20);
    EXPECT_TRUE(desk().hand_over(session, reply).empty());
    EXPECT_TRUE(pixels(reply).host_bytes());
  }
}

TEST_F(Desk, WhatIsNotSealedOrHasNoRoomStaysInsideTheReply) {
  config_.limits.region_bytes_per_session = 100'000;
  const std::string session = session_with_plane();
  JobReply unsealed = VaeDecodeReply{{bytes(90'000), writable(90'000)}};
  JobReply heap = VaeDecodeReply{{bytes(90'000), bytes_from(std::string(90'000, 'x'))}};
  JobReply too_large = reply_with(100'001);
  for (JobReply* reply : {&unsealed, &heap, &too_large}) {
    EXPECT_TRUE(desk().hand_over(session, *reply).empty());
    EXPECT_TRUE(pixels(*reply).host_bytes());
  }
}

TEST_F(Desk, ResultsOfAReplyThatDidNotArriveAreDropped) {
  const std::string session = session_with_plane();
  JobReply lost = reply_with(1 << 20), taken = reply_with(1 << 20);
  auto ids = desk().hand_over(session, lost);
  const auto other = desk().hand_over(session, taken);
  ids.insert(ids.end(), other.begin(), other.end());
  ASSERT_TRUE(desk().take(session, other[0]).ok());
  EXPECT_EQ(core().status().region_bytes, std::uint64_t{1} << 20) << "untaken ones count";
  desk().drop(session, ids);
  EXPECT_EQ(core().status().regions, 0u);
}

TEST_F(Desk, OnlySealedMemoryThatATensorFillsIsKeptWithoutACopy) {
  const std::string session = session_with_plane();
  const auto kept_from = [&](const BytesPtr& memory, std::size_t size) {
    const std::string id = *desk().add(session, memory);
    return desk().read(session, bytes(size), {id, 0})->host_bytes();
  };
  const BytesPtr fits = sealed(1 << 20), large = sealed(8 << 20), open = writable(1 << 20);
  EXPECT_EQ(kept_from(fits, 1 << 20)->fd(), fits->fd());
  EXPECT_NE(kept_from(large, 1 << 20)->fd(), large->fd()) << "it would keep 8 MiB alive";
  const BytesPtr copy = kept_from(open, 1 << 20);
  EXPECT_NE(copy->fd(), open->fd());
  EXPECT_TRUE(sealed_against_writing(copy->fd()));
}

TEST_F(Desk, ATensorOfACallIsFoundInTheRegionAndGoesOnByDescriptor) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  const std::string session = session_with_plane();
  const BytesPtr memory = writable(4096);
  const std::string id = *desk().add(session, memory);
  VaeDecodeRequest decode;
  decode.latent.spec = {DType::kF32, {1, 4, 8, 8}};
  decode.latent.place = SharedRegion{id, 1024};
  auto call = submit(caller("w", session), decode);
  const Job job = worker->seen.back();
  const BytesPtr arrived = std::get<VaeDecodeRequest>(job.request).latent.host_bytes();
  EXPECT_EQ(arrived->fd(), memory->fd());
  EXPECT_EQ(arrived->fd_offset(), 1024u);
  EXPECT_EQ(*desk().release(session, {id}), 4096u);
  EXPECT_FALSE(call->done()) << "a call under way keeps what it uses";
  EXPECT_EQ(submit(caller("w", session), decode)->code(), StatusCode::kNotFound);
}

TEST_F(Desk, TheEndOfThePlaneOrOfTheSessionFreesItsRegions) {
  const std::string session = session_with_plane(), other = session_with_plane();
  for (const std::string& owner : {session, other})
    ASSERT_TRUE(desk().add(owner, writable(1000)).ok());
  desk().lose(session, "its local socket has ended");
  EXPECT_EQ(core().status().regions, 1u);
  core().close_session(other);
  EXPECT_EQ(core().status().regions, 0u);
  EXPECT_EQ(desk().add(other, writable(1000)).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(core().status().open_sessions.at(0).fallback, "its local socket has ended");
}

}  // namespace
}  // namespace luna::front
