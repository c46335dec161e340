#include "tests/support/deterministic.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace luna::support {
namespace {

// The expected numbers are what tests/parity/luna_weights.py prints when run.
TEST(Deterministic, HashIsFnv1a) {
  EXPECT_EQ(fnv1a(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a("conv_in.weight"), 0x1ce69906bdc574a7u);
}

TEST(Deterministic, StreamAgreesWithTheNumpyTwinBitForBit) {
  EXPECT_EQ(uniform_values("conv_in.weight", 4),
            (std::vector<float>{0x1.23d71p-3f, 0x1.88768p-1f, -0x1.a3cf7p-1f, -0x1.94dd5p-2f}));
}

TEST(Deterministic, StreamIsUniformBetweenMinusOneAndOne) {
  const std::vector<float> values = uniform_values("many", 100000);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*low, -1.0f);
  EXPECT_LT(*high, 1.0f);
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / 1e5, 0.0, 0.01);
  EXPECT_NEAR(squares / 1e5, 1.0 / 3.0, 0.01);
}

TEST(Deterministic, WeightsAreScaledByTheirKind) {
  const std::vector<std::int64_t> matrix = {4, 3, 3, 3}, vector = {4};
  std::vector<float> out(108);
  fill_weight("conv_in.weight", matrix, out);
  EXPECT_EQ(out[0], 0x1.851ecp-5f);
  EXPECT_EQ(out[1], 0x1.05a456p-2f);
  out.resize(4);
  fill_weight("norm.weight", vector, out);
  EXPECT_EQ(out[0], 0x1.e1a844p-1f);
  EXPECT_EQ(out[1], 0x1.c371f2p-1f);
  fill_weight("norm.bias", vector, out);
  EXPECT_EQ(out[0], 0x1.636cf4p-5f);
}

TEST(Deterministic, HalfRoundsToNearestEvenInEveryRange) {
  EXPECT_EQ(half_bits(0x1.851ecp-5f), 0x2a14);  // numpy's astype(float16)
  EXPECT_EQ(half_bits(0.0f), 0x0000);
  EXPECT_EQ(half_bits(-0.0f), 0x8000);
  EXPECT_EQ(half_bits(1.0f), 0x3c00);
  EXPECT_EQ(half_bits(1.0f + 0x1p-11f), 0x3c00);
  EXPECT_EQ(half_bits(1.0f + 0x3p-11f), 0x3c02);
  EXPECT_EQ(half_bits(65504.0f), 0x7bff);
  EXPECT_EQ(half_bits(65519.0f), 0x7bff);
  EXPECT_EQ(half_bits(65520.0f), 0x7c00);
  EXPECT_EQ(half_bits(0x1p-14f), 0x0400);
  EXPECT_EQ(half_bits(0x1p-24f), 0x0001);
  EXPECT_EQ(half_bits(0x1p-25f), 0x0000);
  EXPECT_EQ(half_bits(0x3p-25f), 0x0002);
  EXPECT_EQ(half_bits(-INFINITY), 0xfc00);
  EXPECT_EQ(half_bits(NAN) & 0x7fff, 0x7e00);
}

TEST(Deterministic, Bfloat16RoundsToNearestEven) {
  EXPECT_EQ(bfloat16_bits(1.0f), 0x3f80);
  EXPECT_EQ(bfloat16_bits(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(bfloat16_bits(1.0f + 0x3p-8f), 0x3f82);
  EXPECT_EQ(bfloat16_bits(-2.0f), 0xc000);
  EXPECT_NE(bfloat16_bits(NAN) & 0x7f, 0);
}

}  // namespace
}  // namespace luna::support
