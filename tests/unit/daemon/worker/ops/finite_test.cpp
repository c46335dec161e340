#include "daemon/worker/ops/finite.h"

#include <cmath>

#include <gtest/gtest.h>

namespace luna::worker::ops {
namespace {

at::Tensor with(float value, std::int64_t where, at::ScalarType type = at::kFloat) {
  at::Tensor rows = at::full({3, 5000}, 1.0F);
  rows.view({-1})[where] = value;
  return rows.to(type);
}

std::vector<bool> flags_of(const at::Tensor& rows) {
  const at::Tensor flags = finite_rows(rows);
  return {flags[0].item<bool>(), flags[1].item<bool>(), flags[2].item<bool>()};
}

TEST(Finite, EveryRowIsToldByItself) {
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    for (const std::int64_t where : {5000, 9095, 9096, 9999}) {
      EXPECT_EQ(flags_of(with(bad, where)), std::vector<bool>({true, false, true})) << where;
      EXPECT_FALSE(all_finite(with(bad, where)));
    }
  }
}

TEST(Finite, TheLargestAndTheSmallestNumbersAreNumbers) {
  for (const float good : {3.4e38F, -3.4e38F, 1e-45F, 0.0F, -0.0F}) {
    EXPECT_TRUE(all_finite(with(good, 7)));
    EXPECT_EQ(flags_of(with(good, 7)), std::vector<bool>({true, true, true}));
  }
}

TEST(Finite, OtherTypesAndStridesAreReadAsTheyAre) {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16, at::kDouble})
    EXPECT_EQ(flags_of(with(NAN, 6000, type)), std::vector<bool>({true, false, true}));
  const at::Tensor columns = with(NAN, 1).t();
  EXPECT_FALSE(all_finite(columns));
  EXPECT_FALSE(finite_rows(columns)[1].item<bool>());
  EXPECT_TRUE(finite_rows(columns)[0].item<bool>());
  EXPECT_TRUE(all_finite(at::empty({0, 4})));
}

}  // namespace
}  // namespace luna::worker::ops
