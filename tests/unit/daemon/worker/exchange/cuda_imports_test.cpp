#include "daemon/worker/exchange/cuda_imports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/cuda/scripted_sharing.h"

namespace luna::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CudaImportsTest : public testing::Test {
 protected:
  CudaHandle exported(const std::string& name, std::uint64_t offset = 0,
                      const std::string& event = "") {
    if (!known_.contains(name)) {
      sharing_.export_memory(name, std::string(4096, name[0]));
      known_.insert(name);
    }
    return {"GPU-a", ScriptedSharing::handle_of(name), 0, offset,
            event.empty() ? "" : ScriptedSharing::handle_of(event)};
  }
  std::shared_ptr<const CudaMapping> use(const CudaHandle& handle,
                                         const std::string& session = "s") {
    auto mapping = imports_->use(handle, 16, session);
    EXPECT_TRUE(mapping.ok()) << mapping.status().to_string();
    return mapping.ok() ? *mapping : nullptr;
  }
  std::size_t opens_of(const std::string& name) const {
    return static_cast<std::size_t>(std::ranges::count(sharing_.log, "open " + name));
  }

  ScriptedSharing sharing_;
  std::set<std::string> known_;
  std::unique_ptr<CudaImports> imports_ =
      std::make_unique<CudaImports>(sharing_, -1, CudaImports::Limits{3, 2});
};

TEST_F(CudaImportsTest, AnAllocationIsOpenedOnceHoweverManyTensorsLieInIt) {
  const auto one = use(exported("a", 0)), two = use(exported("a", 256));
  EXPECT_EQ(static_cast<char*>(two->data()) - static_cast<char*>(one->data()), 256);
  EXPECT_EQ(*static_cast<char*>(two->data()), 'a');
  EXPECT_EQ(opens_of("a"), 1u);
  EXPECT_EQ(imports_->counters().hits, 1u);
}

TEST_F(CudaImportsTest, ItStaysOpenBetweenUses) {
  use(exported("a"));
  use(exported("a"));
  EXPECT_EQ(opens_of("a"), 1u);
  EXPECT_EQ(imports_->open_allocations(), 1u);
}

TEST_F(CudaImportsTest, AnotherHandleIsAnotherAllocationWhateverItsAddress) {
  // The client freed "a" and made "b" where it was; the mapping of "a" must not serve it.
  const auto old = use(exported("a"));
  const auto fresh = use(exported("b"));
  EXPECT_NE(old->data(), fresh->data());
  EXPECT_EQ(*static_cast<char*>(fresh->data()), 'b');
  EXPECT_EQ(opens_of("b"), 1u);
}

TEST_F(CudaImportsTest, TheEndOfASessionClosesWhatItAloneUsed) {
  use(exported("a"), "s");
  use(exported("b"), "s");
  use(exported("b"), "t");
  imports_->end_session("s");
  EXPECT_EQ(sharing_.open(), 1u);
  imports_->end_session("t");
  EXPECT_EQ(sharing_.open(), 0u);
  EXPECT_EQ(sharing_.broken_rules, 0);
}

TEST_F(CudaImportsTest, WhatATensorUsesIsClosedOnlyAfterIt) {
  auto mapping = use(exported("a"));
  imports_->end_session("s");
  EXPECT_EQ(sharing_.open(), 1u);
  mapping.reset();
  EXPECT_EQ(sharing_.open(), 0u);
}

TEST_F(CudaImportsTest, NothingIsClosedBeforeTheDeviceHasPassedTheWorkOnIt) {
  sharing_.pending_work = true;
  use(exported("a")).reset();
  imports_->end_session("s");
  imports_->sweep();
  EXPECT_EQ(sharing_.open(), 1u);
  sharing_.pending_work = false;
  imports_->sweep();
  EXPECT_EQ(sharing_.open(), 0u);
  EXPECT_EQ(sharing_.broken_rules, 0);
  EXPECT_EQ(sharing_.marks, 0);
}

TEST_F(CudaImportsTest, ASessionThatComesBackInTimeKeepsTheMapping) {
  sharing_.pending_work = true;
  use(exported("a"));
  imports_->end_session("s");
  use(exported("a"), "t");
  sharing_.pending_work = false;
  imports_->sweep();
  EXPECT_EQ(opens_of("a"), 1u);
  EXPECT_EQ(imports_->open_allocations(), 1u);
}

TEST_F(CudaImportsTest, TheLongestUnusedMakesRoomAfterItsWork) {
  for (const char* name : {"a", "b", "c"}) use(exported(name));
  use(exported("a"));
  sharing_.pending_work = true;
  use(exported("d"));
  EXPECT_EQ(imports_->open_allocations(), 3u);
  EXPECT_THAT(sharing_.log, testing::IsSupersetOf({"wait for the device", "close b", "open d"}));
  EXPECT_EQ(sharing_.broken_rules, 0);
}

TEST_F(CudaImportsTest, WhenAllAreInUseTheNextOneIsRefusedWithAHint) {
  const auto a = use(exported("a")), b = use(exported("b")), c = use(exported("c"));
  const auto refused = imports_->use(exported("d"), 16, "s");
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(), HasSubstr("retry in 100 ms"));
}

TEST_F(CudaImportsTest, AnEventIsOpenedOnceAndWaitedForOnceAUse) {
  use(exported("a", 0, "e"));
  use(exported("a", 16, "e"));
  use(exported("a", 32, "f"));
  use(exported("a", 48));
  sharing_.log.erase(std::remove(sharing_.log.begin(), sharing_.log.end(), "open a"),
                     sharing_.log.end());
  EXPECT_THAT(sharing_.log,
              ElementsAre("open event e", "wait e", "wait e", "open event f", "wait f"));
  EXPECT_EQ(imports_->counters().event_waits, 3u);
}

TEST_F(CudaImportsTest, EventsAreFiniteAndTheLongestUnusedGoesFirst) {
  for (const char* event : {"e", "f", "e", "g"}) use(exported("a", 0, event));
  EXPECT_THAT(sharing_.log, testing::Contains("close event f"));
  EXPECT_THAT(sharing_.log, testing::Not(testing::Contains("close event e")));
}

TEST_F(CudaImportsTest, ATensorBeyondWhatTheDriverKnowsIsRefusedAndNothingStaysOpen) {
  CudaHandle liar = exported("a", 4090);
  EXPECT_THAT(imports_->use(liar, 16, "s").status().message(),
              HasSubstr("16 bytes from offset 4090 do not lie within an allocation of 4096"));
  liar = exported("a");
  liar.allocation_size = 1 << 20;
  EXPECT_THAT(imports_->use(liar, 16, "s").status().message(),
              HasSubstr("says an allocation of 1048576 bytes, the driver says 4096"));
  EXPECT_EQ(sharing_.open(), 0u);
}

TEST_F(CudaImportsTest, AHandleThatTheDriverRefusesOpensNothing) {
  const CudaHandle forged{"GPU-a", ScriptedSharing::handle_of("nobody")};
  EXPECT_EQ(imports_->use(forged, 16, "s").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(imports_->open_allocations(), 0u);
}

TEST_F(CudaImportsTest, ADescriptorIsMappedWholeOnceUnderItsRegionsName) {
  class Descriptor final : public Bytes {
   public:
    std::span<const std::byte> view() const override { return {}; }
    int fd() const override { return 7; }
  };
  CudaHandle region{"GPU-a", "", 1 << 21, 64};
  region.region_id = "r-1";
  region.descriptor = std::make_shared<Descriptor>();
  const auto one = use(region);
  region.descriptor = std::make_shared<Descriptor>();  // as it comes with the next job
  region.offset = 128;
  const auto two = use(region);
  EXPECT_EQ(static_cast<char*>(two->data()) - static_cast<char*>(one->data()), 64);
  EXPECT_THAT(sharing_.log, ElementsAre("map 2097152"));
}

TEST_F(CudaImportsTest, TheCacheMayEndBeforeTheLastTensor) {
  auto mapping = use(exported("a", 0, "e"));
  imports_.reset();
  EXPECT_EQ(sharing_.open(), 1u);
  mapping.reset();
  EXPECT_EQ(sharing_.open(), 0u);
  EXPECT_EQ(sharing_.broken_rules, 0);
  EXPECT_EQ(sharing_.marks, 0);
  EXPECT_THAT(sharing_.log, testing::Contains("close event e"));
}

}  // namespace
}  // namespace luna::worker
