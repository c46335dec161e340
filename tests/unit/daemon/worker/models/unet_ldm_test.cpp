#include "daemon/worker/models/unet_ldm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/deterministic.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

constexpr double kParity = 1e-4;

struct Inputs {
  at::Tensor x, timestep, context;
};

Inputs inputs(const std::string& name, int rows, int height, int width, int tokens, int context) {
  constexpr std::array<float, 5> kTimesteps = {999.0f, 0.0f, 500.0f, 17.0f, 251.5f};
  return {made_up(name + ".x", {rows, 4, height, width}, 1.5f),
          at::tensor(at::ArrayRef<float>(kTimesteps.data(), static_cast<std::size_t>(rows))),
          made_up(name + ".context", {rows, tokens, context}, 1.5f)};
}

struct Case {
  int rows, height, width, tokens;
};
constexpr std::array<Case, 4> kCases = {
    {{1, 8, 8, 77}, {1, 5, 7, 77}, {5, 9, 16, 77}, {2, 12, 10, 154}}};

void expect_parity(const std::string& key, const support::TinySd15Options& options) {
  const ParityFixture recorded("unet");
  const auto unet = TinyModel(options).unet();
  for (const Case& c : kCases) {
    const std::string name =
        fmt::format("{}_{}x{}x{}_{}", key, c.rows, c.height, c.width, c.tokens);
    const Inputs in = inputs(name, c.rows, c.height, c.width, c.tokens, options.context_width);
    const at::Tensor out = unet->forward(in.x, in.timestep, in.context, {});
    EXPECT_EQ(out.sizes(), in.x.sizes());
    EXPECT_LE(recorded.error_of(name, out), kParity) << name;
  }
}

TEST(LdmUNet, AgreesWithComfyUiAtTheSmallSizeForEvenAndOddLatentsAndBatchesOfFive) {
  expect_parity("a", size_a());
}

TEST(LdmUNet, AgreesWithComfyUiAtAnotherWidthDepthAndNumberOfLevels) {
  expect_parity("b", size_b());
}

TEST(LdmUNet, AgreesWithComfyUiForVectorConditioningAndMatricesAsProjections) {
  support::TinySd15Options options;
  options.unet_channels = 64;
  options.unet_channel_mult = {1, 2};
  options.unet_res_blocks = {1, 1};
  options.unet_transformer_depth = {0, 2};
  options.unet_middle_depth = 2;
  options.context_width = 96;
  std::vector<support::NamedTensor> shapes = support::tiny_unet_tensors(options);
  shapes.push_back({"label_emb.0.0.weight", {DType::kF32, {256, 40}}});
  shapes.push_back({"label_emb.0.0.bias", {DType::kF32, {256}}});
  shapes.push_back({"label_emb.0.2.weight", {DType::kF32, {256, 256}}});
  shapes.push_back({"label_emb.0.2.bias", {DType::kF32, {256}}});
  WeightStore::Tensors tensors;
  for (auto& [name, spec] : shapes) {
    if (name.ends_with("proj_in.weight") || name.ends_with("proj_out.weight")) spec.shape.resize(2);
    at::Tensor tensor = at::empty(spec.shape, at::kFloat);
    support::fill_weight(
        name, spec.shape,
        {tensor.mutable_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())});
    tensors.emplace(name, tensor);
  }
  const auto store = std::make_shared<const WeightStore>(
      std::move(tensors), std::map<std::string, std::string>(), "made-up");
  const auto unet = LdmUNet::build(store, at::kFloat, at::kCPU);
  ASSERT_TRUE(unet.ok()) << unet.status().to_string();
  const Inputs in = inputs("adm", 2, 6, 9, 77, 96);
  const at::Tensor out =
      (*unet)->forward(in.x, in.timestep, in.context, {{"y", made_up("adm.y", {2, 40})}});
  EXPECT_LE(ParityFixture("unet").error_of("adm", out), kParity);
  EXPECT_EQ((*unet)->traits().family, "sdxl");
}

TEST(LdmUNet, EveryRowOfABatchEqualsTheRowAlone) {
  const auto unet = TinyModel(size_a()).unet();
  const Inputs in = inputs("rows", 5, 9, 16, 77, 64);
  const at::Tensor together = unet->forward(in.x, in.timestep, in.context, {});
  for (std::int64_t row = 0; row < 5; ++row) {
    const at::Tensor alone = unet->forward(in.x.narrow(0, row, 1), in.timestep.narrow(0, row, 1),
                                           in.context.narrow(0, row, 1), {});
    EXPECT_LE(relative(together.narrow(0, row, 1), alone), 1e-5) << "row " << row;
  }
}

TEST(LdmUNet, AContextRepeatedToTwiceItsLengthChangesNothing) {
  const auto unet = TinyModel(size_a()).unet();
  // Not 8x8: there the deepest norm groups have two values each and magnify rounding a
  // thousandfold.
  const Inputs in = inputs("repeat", 1, 24, 16, 77, 64);
  const at::Tensor once = unet->forward(in.x, in.timestep, in.context, {});
  const at::Tensor twice = unet->forward(in.x, in.timestep, in.context.repeat({1, 2, 1}), {});
  EXPECT_LE(relative(twice, once), 1e-5);
}

TEST(LdmUNet, Bf16StaysWithinFivePercentOfF32) {
  const TinyModel model(size_b());
  const auto exact = model.unet(), rough = model.unet(at::kBFloat16);
  const Inputs in = inputs("bf16", 2, 9, 7, 77, 128);
  const at::Tensor out =
      rough->forward(in.x.to(at::kBFloat16), in.timestep, in.context.to(at::kBFloat16), {});
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_LE(relative(out, exact->forward(in.x, in.timestep, in.context, {})), 0.05);
  EXPECT_LT(rough->resident_bytes(), exact->resident_bytes() * 6 / 10);
}

TEST(LdmUNet, DoesNotNeedItsStoreOnceItIsBuilt) {
  const TinyModel model(size_a());
  auto store = model.weights(Slot::kUNet);
  const std::uint64_t bytes = store->bytes();
  const std::weak_ptr<const WeightStore> watch = store;
  const auto unet = LdmUNet::build(std::move(store), at::kFloat, at::kCPU);
  ASSERT_TRUE(unet.ok());
  EXPECT_TRUE(watch.expired());
  // Packed forms are padded to what the processor's vectors want: by less than 1 % with AVX-512, by
  // 6.6 % with AVX2 alone. With the store it would be twice as much.
  EXPECT_GE((*unet)->resident_bytes(), bytes);
  EXPECT_LT((*unet)->resident_bytes(), bytes + bytes / 12);
}

TEST(LdmUNet, TraitsAreThoseOfSd15) {
  const auto unet = TinyModel(size_b()).unet();
  EXPECT_EQ(unet->traits().family, "sd1");
  EXPECT_EQ(unet->traits().context_width, 128);
  EXPECT_EQ(unet->traits().latent_channels, 4);
  EXPECT_DOUBLE_EQ(unet->traits().latent_scale, 0.18215);
}

TEST(LdmUNet, MissingAndMisshapenTensorsAreAllNamed) {
  const TinyModel model(size_a());
  WeightStore::Tensors tensors = model.weights(Slot::kUNet)->tensors();
  tensors.erase("out.0.bias");
  tensors["time_embed.2.weight"] = at::zeros({3, 3});
  const auto store = std::make_shared<const WeightStore>(
      std::move(tensors), std::map<std::string, std::string>(), "broken");
  const auto unet = LdmUNet::build(store, at::kFloat, at::kCPU);
  ASSERT_FALSE(unet.ok());
  EXPECT_EQ(unet.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(unet.status().message(), testing::AllOf(testing::HasSubstr("out.0.bias"),
                                                      testing::HasSubstr("time_embed.2.weight")));
}

}  // namespace
}  // namespace luna::worker
