#include "daemon/worker/layers/adapter_rows.h"

#include <gtest/gtest.h>

#include "daemon/worker/layers/conv2d.h"
#include "daemon/worker/layers/linear.h"
#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {
namespace {

WeightScope scope_of(WeightStore::Tensors tensors) {
  return WeightScope(std::make_shared<const WeightStore>(std::move(tensors),
                                                         std::map<std::string, std::string>(), ""));
}

std::shared_ptr<LowRankFactors> factors_of(const std::string& weight, const at::Tensor& up,
                                           const at::Tensor& down, double scale = 1) {
  auto factors = std::make_shared<LowRankFactors>();
  factors->terms[weight] = {up, down, scale};
  return factors;
}

TEST(AdapterRows, ALinearLayerGivesEachRowWhatItsMergedWeightWould) {
  const at::Tensor weight = at::randn({6, 4}), bias = at::randn({6}), x = at::randn({5, 3, 4});
  const at::Tensor up = at::randn({6, 2}), down = at::randn({2, 4});
  Placement placement(at::kFloat, at::kCPU);
  const Linear layer(scope_of({{"l.weight", weight}, {"l.bias", bias}}).child("l"),
                     {.in = 4, .out = 6}, placement);
  const auto factors = factors_of("l.weight", up, down, 0.5);
  const std::vector<RowAdapters> rows = {{},
                                         {{factors, 0.3, {}}},
                                         {{factors, 0.3, {}}},
                                         {{factors, -2, {}}, {factors, 1, {}}},
                                         {{factors, 1, {{"l", 0}}}}};
  const double strengths[] = {0, 0.3, 0.3, -1, 0};
  const at::Tensor y = layer.forward(x, AdapterRows(rows));
  for (std::int64_t row = 0; row < 5; ++row) {
    const at::Tensor merged = weight + at::mm(up, down) * (0.5 * strengths[row]);
    EXPECT_TRUE(at::allclose(y[row], at::linear(x[row], merged, bias), 1e-4, 1e-5)) << row;
  }
}

TEST(AdapterRows, AConvolutionGivesEachRowWhatItsMergedKernelWould) {
  for (const std::int64_t stride : {1, 2}) {
    const at::Tensor weight = at::randn({6, 4, 3, 3}), bias = at::randn({6});
    const at::Tensor x = ops::to_picture_format(at::randn({3, 4, 8, 6}));
    const at::Tensor up = at::randn({6, 2}), down = at::randn({2, 4, 3, 3});
    Placement placement(at::kFloat, at::kCPU);
    const Conv2d layer(scope_of({{"c.weight", weight}, {"c.bias", bias}}).child("c"),
                       {.in = 4, .out = 6, .stride = stride}, placement);
    const auto factors = factors_of("c.weight", up, down);
    const at::Tensor y = layer.forward(x, AdapterRows({{}, {{factors, 0.7, {}}}, {}}));
    const at::Tensor merged = weight + at::mm(up, down.flatten(1)).view_as(weight) * 0.7;
    for (std::int64_t row = 0; row < 3; ++row) {
      const at::Tensor wanted =
          at::conv2d(x.narrow(0, row, 1), row == 1 ? merged : weight, bias, stride, 1);
      EXPECT_TRUE(at::allclose(y.narrow(0, row, 1), wanted, 1e-4, 1e-5)) << row;
    }
  }
}

TEST(AdapterRows, AProjectionThatIsAConvolutionInTheFileTakesItsFactorsAsSuch) {
  const at::Tensor weight = at::randn({6, 4, 1, 1}), x = at::randn({2, 3, 4});
  const at::Tensor up = at::randn({6, 2}), down = at::randn({2, 4, 1, 1});
  Placement placement(at::kFloat, at::kCPU);
  const Linear layer(scope_of({{"weight", weight}}), {.in = 4, .out = 6, .bias = false}, placement);
  const auto factors = factors_of("weight", up, down);
  const at::Tensor merged = weight.flatten(1) + at::mm(up, down.flatten(1));
  EXPECT_TRUE(at::allclose(layer.forward(x, AdapterRows({{{factors, 1, {}}}, {{factors, 1, {}}}})),
                           at::linear(x, merged), 1e-4, 1e-5));
}

TEST(AdapterRows, LayersThatNoAdapterNamesAreLeftAlone) {
  const at::Tensor x = at::randn({1, 4});
  Placement placement(at::kFloat, at::kCPU);
  const Linear layer(scope_of({{"weight", at::randn({6, 4})}}), {.in = 4, .out = 6, .bias = false},
                     placement);
  const auto factors = factors_of("another.weight", at::randn({6, 2}), at::randn({2, 4}));
  EXPECT_TRUE(at::equal(layer.forward(x, AdapterRows({{{factors, 1, {}}}})), layer.forward(x)));
}

TEST(BlockStrength, TheLongestBeginningThatEndsAtADotCounts) {
  const std::map<std::string, double> blocks = {
      {"input_blocks", 0.5}, {"input_blocks.1", 0.25}, {"input_blocks.1.1", 2}};
  EXPECT_EQ(block_strength(blocks, "input_blocks.1.1.proj_in"), 2);
  EXPECT_EQ(block_strength(blocks, "input_blocks.1.0.in_layers.2"), 0.25);
  EXPECT_EQ(block_strength(blocks, "input_blocks.10.0.in_layers.2"), 0.5);
  EXPECT_EQ(block_strength(blocks, "middle_block.0"), 1);
  EXPECT_EQ(block_strength({}, "middle_block.0"), 1);
}

}  // namespace
}  // namespace luna::worker
