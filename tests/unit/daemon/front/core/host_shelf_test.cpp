#include "daemon/front/core/host_shelf.h"

#include <gmock/gmock.h>

namespace luna::front {
namespace {

using ::testing::HasSubstr;

ComponentSource source_of(const std::string& path, Slot slot = Slot::kVae, std::uint64_t size = 1) {
  return {{.path = path, .size = size}, slot};
}
HostWeights weights_of(const std::string& hash, std::size_t bytes = 100) {
  return {hash, {}, {}, bytes_from(std::string(bytes, 'x'))};
}

TEST(HostShelf, GivesBackWhatItWasGivenForTheSameStateOfTheFileAndSlotAlone) {
  HostShelf shelf(1000);
  ASSERT_TRUE(shelf.keep(source_of("a"), weights_of("1")).ok());
  ASSERT_TRUE(shelf.find(source_of("a")));
  EXPECT_EQ(shelf.find(source_of("a"))->content_hash, "1");
  EXPECT_FALSE(shelf.find(source_of("b")));
  EXPECT_FALSE(shelf.find(source_of("a", Slot::kUNet)));
  EXPECT_FALSE(shelf.find(source_of("a", Slot::kVae, 2))) << "the file has changed";
  EXPECT_EQ(shelf.hits(), 2u);
}

TEST(HostShelf, SaysWhetherItHoldsAnythingOfAPath) {
  HostShelf shelf(1000);
  ASSERT_TRUE(shelf.keep(source_of("b", Slot::kClipL, 7), weights_of("1")).ok());
  EXPECT_TRUE(shelf.holds("b"));
  EXPECT_FALSE(shelf.holds("a"));
  EXPECT_FALSE(shelf.holds("bb"));
  EXPECT_FALSE(shelf.holds("c"));
  EXPECT_EQ(shelf.hits(), 0u);
}

TEST(HostShelf, EqualContentOfTwoFilesIsOneCopyTheFirst) {
  HostShelf shelf(1000);
  const HostWeights first = weights_of("1");
  ASSERT_TRUE(shelf.keep(source_of("a"), first).ok());
  ASSERT_TRUE(shelf.keep(source_of("b"), weights_of("1")).ok());
  EXPECT_EQ(shelf.copies(), 1u);
  EXPECT_EQ(shelf.bytes(), 100u);
  EXPECT_EQ(shelf.find(source_of("b"))->bytes, first.bytes);
}

TEST(HostShelf, AChangedFileDropsItsFormerContentUnlessAnotherFileHasItToo) {
  HostShelf shelf(1000);
  ASSERT_TRUE(shelf.keep(source_of("a"), weights_of("1")).ok());
  ASSERT_TRUE(shelf.keep(source_of("b"), weights_of("1")).ok());
  ASSERT_TRUE(shelf.keep(source_of("a", Slot::kVae, 2), weights_of("2")).ok());
  EXPECT_EQ(shelf.copies(), 2u);
  ASSERT_TRUE(shelf.keep(source_of("b", Slot::kVae, 2), weights_of("2")).ok());
  EXPECT_EQ(shelf.copies(), 1u);
  EXPECT_EQ(shelf.bytes(), 100u);
}

TEST(HostShelf, UnderItsBudgetTheLongestUnusedGoesFirst) {
  HostShelf shelf(250);
  ASSERT_TRUE(shelf.keep(source_of("a"), weights_of("1")).ok());
  ASSERT_TRUE(shelf.keep(source_of("b"), weights_of("2")).ok());
  ASSERT_TRUE(shelf.find(source_of("a")));
  ASSERT_TRUE(shelf.keep(source_of("c"), weights_of("3")).ok());
  EXPECT_TRUE(shelf.find(source_of("a")));
  EXPECT_FALSE(shelf.find(source_of("b")));
  EXPECT_TRUE(shelf.find(source_of("c")));
  EXPECT_EQ(shelf.bytes(), 200u);
}

TEST(HostShelf, WhatCanNeverFitIsRefusedAndCostsNobodyTheirCopy) {
  HostShelf shelf(250);
  ASSERT_TRUE(shelf.keep(source_of("a"), weights_of("1")).ok());
  const Status refused = shelf.keep(source_of("huge.safetensors"), weights_of("2", 251));
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("huge.safetensors"));
  EXPECT_TRUE(shelf.find(source_of("a")));
}

TEST(HostShelf, DropForgetsWhatAFileLeadsToAndSparesWhatOthersNeed) {
  HostShelf shelf(1000);
  ASSERT_TRUE(shelf.keep(source_of("a", Slot::kVae), weights_of("vae")).ok());
  ASSERT_TRUE(shelf.keep(source_of("a", Slot::kUNet), weights_of("unet")).ok());
  ASSERT_TRUE(shelf.keep(source_of("a", Slot::kClipL), weights_of("text")).ok());
  ASSERT_TRUE(shelf.keep(source_of("b", Slot::kVae), weights_of("vae")).ok());
  EXPECT_EQ(shelf.drop("a", std::nullopt, {"text"}), 100u) << "the VAE is that of b too";
  EXPECT_TRUE(shelf.has("vae"));
  EXPECT_TRUE(shelf.has("text"));
  EXPECT_FALSE(shelf.has("unet"));
  EXPECT_FALSE(shelf.find(source_of("a", Slot::kVae)));
  EXPECT_EQ(shelf.drop("b", Slot::kUNet, {}), 0u);
  EXPECT_EQ(shelf.drop("b", Slot::kVae, {}), 100u);
}

TEST(HostShelf, WhatIsPinnedStaysAndWhatItLeavesNoRoomForIsRefused) {
  HostShelf shelf(250);
  shelf.set_pins({"a"});
  ASSERT_TRUE(shelf.keep(source_of("a"), weights_of("1")).ok());
  ASSERT_TRUE(shelf.keep(source_of("b"), weights_of("2")).ok());
  ASSERT_TRUE(shelf.keep(source_of("c"), weights_of("3")).ok());
  EXPECT_TRUE(shelf.has("1")) << "the longest unused";
  EXPECT_FALSE(shelf.has("2"));
  const Status refused = shelf.keep(source_of("d"), weights_of("4", 200));
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("pinned"));
  EXPECT_TRUE(shelf.has("3")) << "nobody goes in vain";
  shelf.set_pins({});
  EXPECT_TRUE(shelf.keep(source_of("d"), weights_of("4", 200)).ok());
}

TEST(HostShelf, WeightsThatAreNotWholeAreRefused) {
  HostShelf shelf(1000);
  HostWeights lying = weights_of("1");
  lying.tensors = {{"w", {DType::kF32, {26}}, 0}};
  EXPECT_EQ(shelf.keep(source_of("a"), lying).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(shelf.copies(), 0u);
}

TEST(HostShelf, TheBudgetOfTheConfigurationIsInMebibytesAndHalfTheMachineByDefault) {
  EXPECT_EQ(host_shelf_budget({.host_copies_mib = 3}), 3u << 20);
  EXPECT_GT(host_shelf_budget({.host_copies_mib = 0}), 1u << 20);
}

}  // namespace
}  // namespace luna::front
