#include "daemon/worker/weights/weight_scope.h"

#include <gmock/gmock.h>

namespace luna::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const WeightStore> store() {
  WeightStore::Tensors tensors;
  tensors["block.0.weight"] = at::ones({2, 3});
  tensors["block.0.bias"] = at::zeros({2}, at::kHalf);
  return std::make_shared<WeightStore>(std::move(tensors),
                                       std::map<std::string, std::string>{{"k", "v"}}, "hash");
}

TEST(WeightStore, FindsByNameAndCountsBytes) {
  const auto weights = store();
  ASSERT_NE(weights->find("block.0.weight"), nullptr);
  EXPECT_EQ(weights->find("block.1.weight"), nullptr);
  EXPECT_EQ(weights->bytes(), 2u * 3 * 4 + 2 * 2);
  EXPECT_EQ(weights->content_hash(), "hash");
  EXPECT_EQ(weights->metadata().at("k"), "v");
}

TEST(TensorDirectory, AnAbsentTensorHasAnEmptyShape) {
  TensorDirectory directory;
  directory.tensors["a"] = {DType::kF32, {2, 3}};
  EXPECT_EQ(directory.shape("a"), (std::vector<std::int64_t>{2, 3}));
  EXPECT_TRUE(directory.shape("b").empty());
}

TEST(WeightScope, SeesTheNamesBelowItsPrefix) {
  const WeightScope scope = WeightScope(store()).child("block").child(0);
  EXPECT_EQ(scope.prefix(), "block.0.");
  EXPECT_TRUE(scope.has("weight"));
  EXPECT_FALSE(scope.has("block.0.weight"));
  EXPECT_EQ(scope.take("weight", {2, 3}).numel(), 6);
  EXPECT_TRUE(scope.status().ok());
}

TEST(WeightScope, AnyExtentMayBeLeftOpen) {
  const WeightScope scope = WeightScope(store()).child("block").child(0);
  EXPECT_TRUE(scope.take("weight", {-1, 3}).defined());
  EXPECT_TRUE(scope.status().ok());
}

TEST(WeightScope, AnAbsentOptionalTensorIsNoProblem) {
  const WeightScope scope(store());
  EXPECT_FALSE(scope.take_optional("absent", {1}).defined());
  EXPECT_TRUE(scope.status().ok());
}

TEST(WeightScope, NamesEveryMissingAndMisshapenTensorAtOnce) {
  const WeightScope root(store());
  const WeightScope block = root.child("block").child(0);
  EXPECT_FALSE(block.take("weight", {3, 2}).defined());
  EXPECT_FALSE(block.take_optional("bias", {2, 1}).defined());
  EXPECT_FALSE(root.take("absent", {4, -1}).defined());
  EXPECT_FALSE(root.take("absent", {4, -1}).defined());
  const Status status = root.status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("'block.0.weight' has shape [2,3], expected [3,2]"));
  EXPECT_THAT(status.message(), HasSubstr("'block.0.bias' has shape [2], expected [2,1]"));
  EXPECT_THAT(status.message(), HasSubstr("'absent' is missing (expected [4,any])"));
  EXPECT_THAT(status.message(), Not(HasSubstr("more")));
}

TEST(WeightScope, NamesTenProblemsAndCountsTheRest) {
  const WeightScope scope(store());
  for (int i = 0; i < 13; ++i) (void)scope.take("absent" + std::to_string(i), {1});
  EXPECT_THAT(scope.status().message(), HasSubstr("'absent9'"));
  EXPECT_THAT(scope.status().message(), HasSubstr("; and 3 more"));
}

}  // namespace
}  // namespace luna::worker
