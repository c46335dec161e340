#include "common/types/host_weights.h"

#include <gmock/gmock.h>

namespace luna {
namespace {

using ::testing::HasSubstr;

HostWeights weights_of(std::size_t bytes) {
  return {"hash", {}, {}, bytes_from(std::string(bytes, 'x'))};
}

TEST(HostWeights, TensorsWithinTheBytesAreValid) {
  HostWeights weights = weights_of(128);
  weights.tensors = {{"a", {DType::kF32, {16}}, 0},
                     {"b", {DType::kF32, {16}}, 64},
                     {"none", {DType::kF32, {0}}, 128}};
  EXPECT_TRUE(weights.validate().ok()) << weights.validate().to_string();
}

TEST(HostWeights, ATensorBeyondTheBytesIsNamed) {
  HostWeights weights = weights_of(128);
  weights.tensors = {{"a", {DType::kF32, {16}}, 68}};
  EXPECT_THAT(weights.validate().message(), HasSubstr("'a' of 64 bytes from 68"));
  weights.tensors = {{"far", {DType::kF32, {1}}, UINT64_MAX - 2}};
  EXPECT_EQ(weights.validate().code(), StatusCode::kInvalidArgument) << "no sum may wrap around";
}

TEST(HostWeights, WithoutBytesOrWithAnImpossibleShapeTheyAreRefused) {
  HostWeights weights;
  EXPECT_EQ(weights.validate().code(), StatusCode::kInvalidArgument);
  weights = weights_of(8);
  weights.tensors = {{"negative", {DType::kF32, {-1}}, 0}};
  EXPECT_THAT(weights.validate().message(), HasSubstr("negative"));
}

}  // namespace
}  // namespace luna
