#include "daemon/front/core/region_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/local/memory.h"

namespace luna::front {
namespace {

using testing::HasSubstr;
using Kind = RegionTable::Kind;

class Regions : public testing::Test {
 protected:
  static BytesPtr memory(std::size_t size) {
    return std::move(*MemoryRegion::create("test", size)).share();
  }
  std::string add(const std::string& session, std::size_t size, Kind kind = Kind::kClients) {
    auto id = table_.add(session, kind, memory(size));
    EXPECT_TRUE(id.ok()) << id.status().to_string();
    return id.ok() ? *id : "";
  }
  Status looked_up(const std::string& session, const SharedRegion& place, const TensorSpec& spec) {
    return table_.find(session, place, spec).status();
  }
  static TensorSpec floats(std::int64_t count) { return {DType::kF32, {count}}; }

  RegionTable table_{4, 1000};
  RegionTable::Dropped dropped_;
};

TEST_F(Regions, ATensorIsFoundWhereItLiesWithoutACopy) {
  MemoryRegion region = *MemoryRegion::create("test", 64);
  region.bytes()[16] = std::byte{7};
  const BytesPtr shared = std::move(region).share();
  const std::string id = *table_.add("a", Kind::kClients, shared);
  const auto found = table_.find("a", {id, 16}, floats(4));
  ASSERT_TRUE(found.ok()) << found.status().to_string();
  EXPECT_EQ((*found)->view().front(), std::byte{7});
  EXPECT_EQ((*found)->fd(), shared->fd());
  EXPECT_EQ((*found)->fd_offset(), 16u);
}

TEST_F(Regions, WhatDoesNotLieWithinIsRefusedWhateverTheNumbers) {
  const std::string id = add("a", 64);
  EXPECT_TRUE(looked_up("a", {id, 60}, floats(1)).ok());
  EXPECT_TRUE(looked_up("a", {id, 64}, floats(0)).ok());
  for (const std::uint64_t offset :
       {std::uint64_t{64}, std::uint64_t{1} << 40, ~std::uint64_t{3}}) {
    const Status status = looked_up("a", {id, offset}, floats(1));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << offset;
    EXPECT_THAT(status.message(), HasSubstr("has 64"));
  }
  EXPECT_EQ(looked_up("a", {id, 0}, floats(std::int64_t{1} << 40)).code(),
            StatusCode::kInvalidArgument);
}

TEST_F(Regions, AnOffsetBetweenTwoElementsIsRefused) {
  const std::string id = add("a", 64);
  EXPECT_THAT(looked_up("a", {id, 2}, floats(1)).message(), HasSubstr("multiple of"));
  EXPECT_TRUE(looked_up("a", {id, 2}, {DType::kF16, {1}}).ok());
}

TEST_F(Regions, NobodyReachesAnothersRegion) {
  const std::string id = add("a", 64);
  EXPECT_EQ(looked_up("b", {id, 0}, floats(1)).code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(looked_up("", {id, 0}, floats(1)).code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(table_.take("b", id).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(table_.release("b", {id}, dropped_).status().code(), StatusCode::kPermissionDenied);
  table_.drop("b", {id}, dropped_);
  table_.close("b", dropped_);
  EXPECT_EQ(looked_up("a", {"r-none", 0}, floats(1)).code(), StatusCode::kNotFound);
  EXPECT_EQ(table_.of("a").regions, 1u);
}

TEST_F(Regions, NumberAndBytesOfASessionAreBounded) {
  const std::string id = add("a", 600);
  EXPECT_THAT(table_.add("a", Kind::kResult, memory(401)).status().message(),
              HasSubstr("region_bytes_per_session"));
  EXPECT_EQ(table_.check_room("a", ~std::uint64_t{0}).code(), StatusCode::kResourceExhausted);
  for (int i = 0; i < 3; ++i) add("a", 100);
  EXPECT_THAT(table_.check_room("a", 1).message(), HasSubstr("regions_per_session"));
  add("b", 1000);
  EXPECT_EQ(table_.all().bytes, 1900u);
  EXPECT_EQ(*table_.release("a", {id}, dropped_), 600u);
  EXPECT_TRUE(table_.check_room("a", 700).ok());
}

TEST_F(Regions, ReleasingIsAllOrNothing) {
  const std::string one = add("a", 10), two = add("a", 20);
  EXPECT_EQ(table_.release("a", {one, "r-none", two}, dropped_).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(table_.of("a").bytes, 30u);
  EXPECT_EQ(*table_.release("a", {one, two, one}, dropped_), 30u) << "a name twice counts once";
  EXPECT_EQ(table_.all().regions, 0u);
}

TEST_F(Regions, AResultIsTakenOnceAndTheClientsOwnNever) {
  const std::string result = add("a", 10, Kind::kResult), own = add("a", 10);
  EXPECT_EQ((*table_.take("a", result))->view().size(), 10u);
  EXPECT_EQ(table_.take("a", result).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(table_.take("a", own).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(table_.of("a").bytes, 10u);
}

TEST_F(Regions, WhoUsesATensorKeepsItsMemoryWhenTheSessionCloses) {
  const std::string id = add("a", 64);
  const BytesPtr used = *table_.find("a", {id, 0}, floats(16));
  table_.close("a", dropped_);
  dropped_.clear();
  EXPECT_EQ(table_.all().bytes, 0u);
  EXPECT_EQ(used->view()[63], std::byte{0});
}

TEST_F(Regions, AResultThatIsPartOfSharedMemoryCountsWithAllOfIt) {
  const BytesPtr slice = *slice_of(memory(512), 256, 128);
  const std::string id = *table_.add("a", Kind::kResult, slice);
  EXPECT_EQ(table_.of("a").bytes, 384u);
  EXPECT_TRUE(looked_up("a", {id, 256}, floats(32)).ok());
  EXPECT_EQ(looked_up("a", {id, 128}, floats(1)).code(), StatusCode::kInvalidArgument)
      << "what lies before it is another's";
}

}  // namespace
}  // namespace luna::front
