#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/layers/conv2d.h"
#include "daemon/worker/layers/linear.h"
#include "daemon/worker/layers/resample.h"
#include "daemon/worker/layers/spatial_transformer.h"
#include "daemon/worker/layers/unet_res_block.h"

namespace luna::worker {
namespace {

WeightScope scope_of(WeightStore::Tensors tensors) {
  return WeightScope(std::make_shared<const WeightStore>(std::move(tensors),
                                                         std::map<std::string, std::string>(), ""));
}

TEST(Linear, TakesAMatrixOrAnEqualOneByOneConvolution) {
  const at::Tensor weight = at::randn({6, 4}), bias = at::randn({6}), x = at::randn({3, 4});
  Placement placement(at::kFloat, at::kCPU);
  const Linear matrix(scope_of({{"weight", weight}, {"bias", bias}}), {.in = 4, .out = 6},
                      placement);
  const Linear kernel(scope_of({{"weight", weight.reshape({6, 4, 1, 1})}, {"bias", bias}}),
                      {.in = 4, .out = 6}, placement);
  EXPECT_TRUE(at::equal(matrix.forward(x), kernel.forward(x)));
  EXPECT_TRUE(at::allclose(matrix.forward(x), at::linear(x, weight, bias)));
}

TEST(Linear, InF32SharesThePristineWeight) {
  const at::Tensor weight = at::randn({64, 32});
  Placement placement(at::kFloat, at::kCPU);
  const WeightScope scope = scope_of({{"weight", weight}});
  const Linear layer(scope, {.in = 32, .out = 64, .bias = false}, placement);
  placement.name_running(*scope.store());
  EXPECT_TRUE(placement.running().at("weight").is_same(weight));
  EXPECT_EQ(placement.resident_bytes(), weight.nbytes());
}

TEST(Layers, OverRunningWeightsShareThemInTheFormThatRuns) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Placement first(type, at::kCPU), second(type, at::kCPU);
    const WeightScope pristine = scope_of({{"c.weight", at::randn({16, 8, 3, 3})},
                                           {"c.bias", at::randn({16})},
                                           {"l.weight", at::randn({6, 8, 1, 1})},
                                           {"l.bias", at::randn({6})},
                                           {"unused", at::randn({2})}});
    const Conv2d conv(pristine.child("c"), {.in = 8, .out = 16}, first);
    const Linear linear(pristine.child("l"), {.in = 8, .out = 6}, first);
    first.name_running(*pristine.store());
    EXPECT_EQ(first.running().size(), 4u);

    const WeightScope running = scope_of(first.running());
    const Conv2d same_conv(running.child("c"), {.in = 8, .out = 16}, second);
    const Linear same_linear(running.child("l"), {.in = 8, .out = 6}, second);
    EXPECT_TRUE(running.status().ok()) << running.status().to_string();
    EXPECT_EQ(second.resident_bytes(), first.resident_bytes());
    second.name_running(*running.store());
    for (const auto& [name, tensor] : second.running())
      EXPECT_TRUE(tensor.is_same(first.running().at(name))) << name;
    const at::Tensor x = ops::to_picture_format(at::randn({1, 8, 5, 5}).to(type));
    EXPECT_TRUE(at::equal(conv.forward(x), same_conv.forward(x)));
    const at::Tensor row = at::randn({3, 8}).to(type);
    EXPECT_TRUE(at::equal(linear.forward(row), same_linear.forward(row)));
  }
}

TEST(Layers, SurviveMissingTensorsSoThatAllOfThemAreNamed) {
  const WeightScope scope = scope_of({});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Placement placement(type, at::kCPU);
    UNetResBlock(scope.child("res"), {.in = 32, .out = 64, .embedding = 128}, placement);
    SpatialTransformer(scope.child("transformer"), {.width = 32, .context = 8, .heads = 4}, 1,
                       placement);
    EXPECT_EQ(placement.resident_bytes(), 0u);
  }
  EXPECT_EQ(scope.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(scope.status().message(), testing::HasSubstr("res.in_layers.0.weight"));
}

TEST(Resample, SymmetricPaddingRoundsUpAndTheOtherRoundsDown) {
  const at::Tensor weight = at::randn({4, 4, 3, 3}), bias = at::randn({4});
  Placement placement(at::kFloat, at::kCPU);
  const Downsample unet(scope_of({{"op.weight", weight}, {"op.bias", bias}}), 4,
                        Downsample::Padding::kSymmetric, 8, placement);
  const Downsample vae(scope_of({{"conv.weight", weight}, {"conv.bias", bias}}), 4,
                       Downsample::Padding::kRightAndBelow, 8, placement);
  const at::Tensor x = at::randn({1, 4, 7, 9});
  EXPECT_EQ(unet.forward(x).sizes(), at::IntArrayRef({1, 4, 4, 5}));
  EXPECT_EQ(vae.forward(x).sizes(), at::IntArrayRef({1, 4, 3, 4}));
  const Upsample up(scope_of({{"conv.weight", weight}, {"conv.bias", bias}}), 4, 8, placement);
  EXPECT_EQ(up.forward(x, 13, 18).sizes(), at::IntArrayRef({1, 4, 13, 18}));
}

TEST(UNetResBlock, LeavesItsInputAlone) {
  WeightStore::Tensors tensors;
  tensors["in_layers.0.weight"] = tensors["out_layers.0.weight"] = at::randn({32});
  tensors["in_layers.0.bias"] = tensors["out_layers.0.bias"] = at::randn({32});
  tensors["in_layers.2.weight"] = tensors["out_layers.3.weight"] = at::randn({32, 32, 3, 3});
  tensors["in_layers.2.bias"] = tensors["out_layers.3.bias"] = at::randn({32});
  tensors["emb_layers.1.weight"] = at::randn({32, 16});
  tensors["emb_layers.1.bias"] = at::randn({32});
  Placement placement(at::kFloat, at::kCPU);
  const WeightScope scope = scope_of(std::move(tensors));
  const UNetResBlock block(scope, {.in = 32, .out = 32, .embedding = 16}, placement);
  ASSERT_TRUE(scope.status().ok()) << scope.status().to_string();
  const at::Tensor x = at::randn({2, 32, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor embedding = at::randn({2, 16}), before = x.clone(), kept = embedding.clone();
  block.forward(x, embedding);
  EXPECT_TRUE(at::equal(x, before));
  EXPECT_TRUE(at::equal(embedding, kept));
}

}  // namespace
}  // namespace luna::worker
