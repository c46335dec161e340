#include "daemon/worker/models/autoencoder_kl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/models/autoencoder_names.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

constexpr double kParity = 1e-4;

support::TinySd15Options vae_only(support::TinySd15Options options) {
  options.with_unet = options.with_text = false;
  return options;
}

void expect_parity(const std::string& key, const support::TinySd15Options& options) {
  const ParityFixture recorded("vae");
  const auto vae = TinyModel(options).vae();
  EXPECT_EQ(vae->factor(), 8);
  EXPECT_EQ(vae->latent_channels(), 4);
  struct Case {
    int rows, height, width;
  };
  for (const Case c : {Case{1, 5, 7}, Case{2, 9, 6}}) {
    const std::string name = fmt::format("{}_{}x{}x{}", key, c.rows, c.height, c.width);
    const at::Tensor pixels =
        vae->decode(made_up(name + ".latent", {c.rows, 4, c.height, c.width}, 1.5f));
    EXPECT_EQ(pixels.sizes(), at::IntArrayRef({c.rows, 3, 8 * c.height, 8 * c.width}));
    EXPECT_LE(recorded.error_of(name + ".decode", pixels), kParity) << name;
    const at::Tensor latent =
        vae->encode(made_up(name + ".pixels", {c.rows, 3, 8 * c.height, 8 * c.width}));
    EXPECT_EQ(latent.sizes(), at::IntArrayRef({c.rows, 4, c.height, c.width}));
    EXPECT_LE(recorded.error_of(name + ".encode", latent), kParity) << name;
  }
}

TEST(AutoencoderKl, EncodesAndDecodesAsComfyUiAtTheSmallSize) {
  expect_parity("a", vae_only(size_a()));
}

TEST(AutoencoderKl, EncodesAndDecodesAsComfyUiAtAnotherWidthAndDepth) {
  expect_parity("b", vae_only(size_b()));
}

TEST(AutoencoderKl, EveryPictureOfABatchEqualsThePictureAlone) {
  const auto vae = TinyModel(vae_only(size_a())).vae();
  const at::Tensor latents = made_up("batch", {5, 4, 5, 6});
  const at::Tensor together = vae->decode(latents);
  for (std::int64_t i = 0; i < 5; ++i)
    EXPECT_LE(relative(together.narrow(0, i, 1), vae->decode(latents.narrow(0, i, 1))), 1e-5);
}

TEST(AutoencoderKl, Bf16StaysWithinFivePercentOfF32AndAnswersInF32) {
  const TinyModel model(vae_only(size_a()));
  const at::Tensor latent = made_up("bf16", {1, 4, 9, 7}, 1.5f);
  const at::Tensor rough = model.vae(at::kBFloat16)->decode(latent);
  EXPECT_EQ(rough.scalar_type(), at::kFloat);
  EXPECT_LE(relative(rough, model.vae()->decode(latent)), 0.05);
}

TEST(AutoencoderKl, WithoutQuantConvolutionsTheMomentsAreTakenAsTheyAre) {
  const TinyModel model(vae_only(size_a()));
  WeightStore::Tensors tensors = model.weights(Slot::kVae)->tensors();
  const at::Tensor eye = at::eye(8).reshape({8, 8, 1, 1});
  tensors["quant_conv.weight"] = eye;
  tensors["quant_conv.bias"] = at::zeros({8});
  const auto build = [](const WeightStore::Tensors& from) {
    return AutoencoderKl::build(
               std::make_shared<const WeightStore>(from, std::map<std::string, std::string>(), ""),
               at::kFloat, at::kCPU)
        .value();
  };
  const auto with = build(tensors);
  tensors.erase("quant_conv.weight");
  tensors.erase("quant_conv.bias");
  const auto without = build(tensors);
  const at::Tensor pixels = made_up("identity", {1, 3, 40, 48});
  EXPECT_LE(relative(without->encode(pixels), with->encode(pixels)), 1e-5);
}

TEST(AutoencoderKl, MetadataSetsTheNormGroups) {
  auto options = vae_only(size_a());
  options.vae_channels = 16;
  options.vae_groups = 16;
  const auto vae = TinyModel(options).vae();
  EXPECT_EQ(vae->decode(at::zeros({1, 4, 2, 2})).sizes(), at::IntArrayRef({1, 3, 16, 16}));
}

TEST(AutoencoderNames, DiffusersNamesBecomeLdmNames) {
  const auto name = [](const char* theirs) { return autoencoder_name_from_diffusers(theirs, 4); };
  EXPECT_EQ(name("decoder.up_blocks.0.resnets.1.norm1.weight"),
            "decoder.up.3.block.1.norm1.weight");
  EXPECT_EQ(name("encoder.down_blocks.2.resnets.0.conv_shortcut.bias"),
            "encoder.down.2.block.0.nin_shortcut.bias");
  EXPECT_EQ(name("encoder.down_blocks.1.downsamplers.0.conv.weight"),
            "encoder.down.1.downsample.conv.weight");
  EXPECT_EQ(name("decoder.up_blocks.2.upsamplers.0.conv.weight"),
            "decoder.up.1.upsample.conv.weight");
  EXPECT_EQ(name("decoder.mid_block.resnets.1.conv2.bias"), "decoder.mid.block_2.conv2.bias");
  EXPECT_EQ(name("encoder.mid_block.attentions.0.to_out.0.weight"),
            "encoder.mid.attn_1.proj_out.weight");
  EXPECT_EQ(name("encoder.mid_block.attentions.0.query.weight"), "encoder.mid.attn_1.q.weight");
  EXPECT_EQ(name("decoder.conv_norm_out.weight"), "decoder.norm_out.weight");
  EXPECT_EQ(name("quant_conv.bias"), "quant_conv.bias");
  EXPECT_EQ(name("decoder.up_blocks.7.resnets.0.conv1.weight"), "");
  EXPECT_EQ(name("something.else"), "");
  EXPECT_EQ(autoencoder_name_from_diffusers(std::string(100000, 'x'), 4), "");
}

}  // namespace
}  // namespace luna::worker
