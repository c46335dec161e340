#include "common/types/tensor.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna {
namespace {

using ::testing::HasSubstr;

TEST(TensorSpec, CountsElementsAndBytes) {
  const TensorSpec spec{DType::kBF16, {2, 4, 64, 64}};
  EXPECT_EQ(spec.numel(), 32768);
  EXPECT_EQ(spec.byte_size(), 65536u);
  EXPECT_EQ(spec.to_string(), "bf16[2,4,64,64]");
}

TEST(TensorSpec, AnEmptyShapeIsAScalar) {
  EXPECT_EQ((TensorSpec{DType::kF64, {}}.byte_size()), 8u);
}

TEST(TensorSpec, RefusesWhatNoTensorHas) {
  const auto refusal = [](TensorSpec spec) { return spec.validate(1000).message(); };
  EXPECT_THAT(refusal({DType::kF32, {2, -1}}), HasSubstr("negative extent"));
  EXPECT_THAT(refusal({DType::kF32, std::vector<std::int64_t>(9, 1)}), HasSubstr("9 axes"));
  EXPECT_THAT(refusal({static_cast<DType>(77), {1}}), HasSubstr("unknown element type 77"));
  EXPECT_THAT(refusal({DType::kF32, {251}}), HasSubstr("larger than the limit of 1000"));
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(refusal({DType::kF32, {huge, huge, huge}}), HasSubstr("larger than the limit"));
}

TEST(TensorSpec, AZeroExtentMakesAnyShapeEmpty) {
  const TensorSpec spec{DType::kF32, {1 << 30, 1 << 30, 0}};
  EXPECT_TRUE(spec.validate(0).ok());
  EXPECT_EQ(spec.byte_size(), 0u);
}

TEST(TensorRef, HostBytesMustFillTheShape) {
  const std::vector<float> values = {1, 2, 3};
  TensorRef tensor = tensor_of({3}, values);
  EXPECT_TRUE(tensor.validate("x").ok());
  EXPECT_EQ(*floats_of(tensor), values);
  tensor.spec.shape = {4};
  EXPECT_EQ(tensor.validate("x").message(), "x: f32[4] needs 16 bytes, 12 came");
}

TEST(TensorRef, FloatsComeOnlyFromF32WithBytes) {
  EXPECT_FALSE(floats_of(TensorRef{}).ok());
  TensorRef tensor = tensor_of({1}, std::vector<float>{1});
  tensor.spec.dtype = DType::kI32;
  EXPECT_THAT(floats_of(tensor).status().message(), HasSubstr("found i32[1]"));
}

}  // namespace
}  // namespace luna
