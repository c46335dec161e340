#include "daemon/worker/ops/scalar_types.h"

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

TEST(ScalarTypes, EveryTypeGoesThereAndBackWithItsSize) {
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_of(scalar_type_of(dtype)), dtype);
    EXPECT_EQ(c10::elementSize(scalar_type_of(dtype)), dtype_size(dtype));
  }
}

TEST(ScalarTypes, TypesThatNeverTravelHaveNoName) {
  EXPECT_EQ(dtype_of(at::kComplexFloat), std::nullopt);
  EXPECT_EQ(dtype_of(at::kQInt8), std::nullopt);
}

}  // namespace
}  // namespace luna::worker
