#include "daemon/worker/exchange/cuda_outbox.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/cuda/scripted_sharing.h"

namespace luna::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CudaOutboxTest : public testing::Test {
 protected:
  CudaOutbox::Lease lease(std::uint64_t bytes, const std::string& session = "s") {
    auto lease = outbox_->lease(bytes, session);
    EXPECT_TRUE(lease.ok()) << lease.status().to_string();
    return lease.ok() ? *std::move(lease) : CudaOutbox::Lease();
  }

  ScriptedSharing sharing_;
  std::unique_ptr<CudaOutbox> outbox_ =
      std::make_unique<CudaOutbox>(sharing_, -1, "GPU-a", 1 << 20);
};

TEST_F(CudaOutboxTest, TheSlabIsAllocatedOnceAndNotBeforeSomebodyAsks) {
  EXPECT_THAT(sharing_.log, IsEmpty());
  lease(100);
  lease(100);
  EXPECT_THAT(sharing_.log, ElementsAre("allocate 1048576"));
}

TEST_F(CudaOutboxTest, ALeaseNamesTheSlabWholeAndItsPlaceInIt) {
  lease(100);
  const CudaOutbox::Lease second = lease(100);
  EXPECT_EQ(second.handle.device_uuid, "GPU-a");
  EXPECT_EQ(second.handle.handle, ScriptedSharing::handle_of("slab"));
  EXPECT_EQ(second.handle.allocation_size, 1u << 20);
  EXPECT_EQ(second.handle.offset, 512u);
  EXPECT_THAT(second.handle.event_handle, IsEmpty());
}

TEST_F(CudaOutboxTest, PublishingRecordsAnEventThatTheHandleCarries) {
  CudaOutbox::Lease made = lease(100);
  ASSERT_TRUE(outbox_->publish(made).ok());
  EXPECT_EQ(made.handle.event_handle, ScriptedSharing::handle_of("own1"));
  EXPECT_EQ(sharing_.log.back(), "record own1");
}

TEST_F(CudaOutboxTest, EventsOfEndedLeasesAreUsedAgain) {
  for (int i = 0; i < 5; ++i) {
    CudaOutbox::Lease made = lease(100);
    ASSERT_TRUE(outbox_->publish(made).ok());
    outbox_->release({made.handle.lease_id});
  }
  EXPECT_EQ(sharing_.made_events, 1);
}

TEST_F(CudaOutboxTest, AFullSlabNamesWhatIsFree) {
  const CudaOutbox::Lease most = lease((1 << 20) - 512);
  const auto refused = outbox_->lease(1024, "s");
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("no 1024 bytes: 512 of 1048576 are free, the largest piece has 512"));
  outbox_->release({most.handle.lease_id});
  EXPECT_TRUE(outbox_->lease(1024, "s").ok());
}

TEST_F(CudaOutboxTest, ADeviceWithoutMemoryForTheSlabLosesNoSpaceByIt) {
  sharing_.out_of_memory = true;
  EXPECT_EQ(outbox_->lease(1 << 20, "s").status().code(), StatusCode::kResourceExhausted);
  sharing_.out_of_memory = false;
  EXPECT_TRUE(outbox_->lease(1 << 20, "s").ok());
}

TEST_F(CudaOutboxTest, AReleasedPieceIsFreeWhenItsLastUserIsGone) {
  const CudaOutbox::Lease made = lease(1 << 20);
  auto user = *outbox_->use(made.handle, 16, "s");
  outbox_->release({made.handle.lease_id});
  EXPECT_EQ(outbox_->free_bytes(), 0u);
  user.reset();
  EXPECT_EQ(outbox_->free_bytes(), 1u << 20);
}

TEST_F(CudaOutboxTest, AReleasedPieceGetsNoNewUser) {
  const CudaOutbox::Lease made = lease(512);
  const auto user = *outbox_->use(made.handle, 16, "s");
  outbox_->release({made.handle.lease_id});
  EXPECT_EQ(outbox_->use(made.handle, 16, "s").status().code(), StatusCode::kNotFound);
}

TEST_F(CudaOutboxTest, ReleasingTwiceOrTheUnknownChangesNothing) {
  const CudaOutbox::Lease made = lease(512);
  outbox_->release({made.handle.lease_id, made.handle.lease_id, "nobody's"});
  outbox_->release({made.handle.lease_id});
  EXPECT_EQ(outbox_->free_bytes(), 1u << 20);
}

TEST_F(CudaOutboxTest, TheEndOfASessionEndsItsLeasesAndNoOthers) {
  lease(512, "s");
  lease(512, "t");
  lease(512, "s");
  outbox_->end_session("s");
  EXPECT_EQ(outbox_->leases(), 1u);
  outbox_->end_session("t");
  EXPECT_EQ(outbox_->free_bytes(), 1u << 20);
}

TEST_F(CudaOutboxTest, ItsOwnHandleIsKnownAndUsedWithoutOpeningIt) {
  const CudaOutbox::Lease made = lease(4096);
  ASSERT_TRUE(outbox_->owns(made.handle));
  CudaHandle inside = made.handle;
  inside.offset += 1024;
  const auto mapping = outbox_->use(inside, 3072, "s");
  ASSERT_TRUE(mapping.ok());
  EXPECT_EQ((*mapping)->data(), static_cast<char*>(made.data) + 1024);
  EXPECT_FALSE(outbox_->owns({"GPU-a", ScriptedSharing::handle_of("a")}));
  EXPECT_EQ(std::ranges::count(sharing_.log, "open slab"), 0);
}

TEST_F(CudaOutboxTest, AnothersLeaseOrWhatLiesBetweenLeasesIsNotReached) {
  const CudaOutbox::Lease mine = lease(512, "s");
  lease(512, "t");
  CudaHandle handle = mine.handle;
  EXPECT_EQ(outbox_->use(handle, 513, "s").status().code(), StatusCode::kInvalidArgument);
  handle.offset = 512;
  EXPECT_EQ(outbox_->use(handle, 16, "s").status().code(), StatusCode::kPermissionDenied);
  handle.offset = 4096;
  EXPECT_EQ(outbox_->use(handle, 16, "s").status().code(), StatusCode::kNotFound);
  handle.offset = ~0ull;
  EXPECT_EQ(outbox_->use(handle, 16, "s").status().code(), StatusCode::kNotFound);
}

TEST_F(CudaOutboxTest, TheSlabOutlivesTheLastUser) {
  auto user = *outbox_->use(lease(512).handle, 16, "s");
  outbox_.reset();
  EXPECT_EQ(std::ranges::count(sharing_.log, "free"), 0);
  user.reset();
  EXPECT_EQ(sharing_.log.back(), "free");
}

}  // namespace
}  // namespace luna::worker
