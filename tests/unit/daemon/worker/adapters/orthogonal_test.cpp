#include <thread>

#include <gmock/gmock.h>

#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {
namespace {

/// What blocks of `size` rows make of a weight of two blocks.
at::Tensor turned(std::int64_t size, const at::Tensor& weight) {
  AdapterParts parts{"layer", {}};
  parts.tensors["oft_blocks"] =
      at::arange(2 * size * size, at::kFloat).view({2, size, size}).mul(0.37).sin().mul(0.1);
  const auto change = make_oft(parts);
  EXPECT_TRUE(change.ok()) << change.status().to_string();
  return (*change)->apply(weight.clone(), 1);
}

class Turns : public testing::TestWithParam<std::int64_t> {};

TEST_P(Turns, KeepTheLengthOfEveryColumnOfABlock) {
  const std::int64_t size = GetParam();
  const at::Tensor weight = at::arange(2 * size * 12, at::kFloat).view({2 * size, 12}).cos();
  const at::Tensor made = turned(size, weight);
  const auto lengths = [&](const at::Tensor& w) { return w.view({2, size, 12}).norm(2, 1); };
  EXPECT_TRUE(at::allclose(lengths(made), lengths(weight), 1e-4));
  EXPECT_FALSE(at::allclose(made, weight, 1e-2));
}

TEST_P(Turns, AreTheSameOnAThreadOfTheirOwn) {
  const std::int64_t size = GetParam();
  const at::Tensor weight = at::arange(2 * size * 12, at::kFloat).view({2 * size, 12}).cos();
  at::Tensor there;
  std::thread([&] { there = turned(size, weight); }).join();
  EXPECT_TRUE(at::allclose(there, turned(size, weight), 1e-5, 1e-6));
}

INSTANTIATE_TEST_SUITE_P(BlocksOf, Turns, testing::Values(8, 80, 160, 320),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace luna::worker
