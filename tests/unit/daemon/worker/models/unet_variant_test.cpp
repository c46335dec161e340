// Variants of SD1.5 and SDXL UNets: what marks them, and what is refused.
#include "daemon/worker/models/unet_variant.h"

#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

support::TinySd15Options sdxl(const std::string& variant, bool inpaint = false) {
  auto options = support::TinySd15Options::sdxl();
  options.with_vae = options.with_text = false;
  options.unet_variant = variant;
  options.inpaint = inpaint;
  return options;
}

support::TinySd15Options sd1(const std::string& variant, bool inpaint = false) {
  support::TinySd15Options options;
  options.with_vae = options.with_text = false;
  options.unet_variant = variant;
  options.inpaint = inpaint;
  return options;
}

TensorDirectory directory_of_file(const support::TinySd15Options& options) {
  const support::TempDir folder;
  support::write_tiny_sd15(folder.file("x.safetensors"), options);
  return read_directory(folder.file("x.safetensors")).value();
}

Status refusal(const TensorDirectory& file) { return detect_components(file).status(); }

/// The first convolution takes `channels`.
TensorDirectory with_channels(TensorDirectory file, std::int64_t channels) {
  file.tensors["model.diffusion_model.input_blocks.0.0.weight"].shape[1] = channels;
  return file;
}

TEST(UNetVariant, IsToldByItsMarkersAndSaidInTheDescription) {
  struct Case {
    std::string variant, name, words;
    Prediction prediction;
  };
  for (const Case& c : std::vector<Case>{
           {"", "eps", "SDXL UNet: ", Prediction::kEps},
           {"v", "v", "SDXL UNet (v-prediction): ", Prediction::kV},
           {"v-zsnr", "v_zsnr",
            "SDXL UNet (v-prediction with zero terminal SNR): ", Prediction::kV},
           {"edm", "edm", "SDXL UNet (EDM): ", Prediction::kEdm},
           {"edm-v", "edm_v", "SDXL UNet (v-prediction over EDM's sigmas): ", Prediction::kEdmV}}) {
    const TinyModel model(sdxl(c.variant));
    ASSERT_EQ(model.components().size(), 1u);
    const ComponentInfo& info = model.components()[0].info;
    EXPECT_EQ(info.family, "sdxl");
    EXPECT_EQ(info.prediction, c.name);
    EXPECT_THAT(info.description, testing::StartsWith(c.words));
    const DenoiserTraits traits = model.unet()->traits();
    EXPECT_EQ(traits.prediction, c.prediction) << c.name;
    EXPECT_EQ(traits.zero_terminal_snr, c.name == "v_zsnr");
  }
}

TEST(UNetVariant, NeverHasTheIdentityOfAnotherWithEqualWeights) {
  std::set<std::string> hashes;
  for (const char* variant : {"", "v", "v-zsnr", "edm", "edm-v"})
    hashes.insert(TinyModel(sdxl(variant)).weights(Slot::kUNet)->content_hash());
  EXPECT_EQ(hashes.size(), 5u);
}

TEST(UNetVariant, AFileOfTheUNetAloneHasTheSameComponent) {
  auto alone = sdxl("v-zsnr");
  alone.bare_names = true;
  EXPECT_EQ(TinyModel(alone).weights(Slot::kUNet)->content_hash(),
            TinyModel(sdxl("v-zsnr")).weights(Slot::kUNet)->content_hash());
}

TEST(UNetVariant, MarkersUnderTheUNetsPrefixCountToo) {
  TensorDirectory file = directory_of_file(sdxl(""));
  file.tensors["model.diffusion_model.v_pred"] = {DType::kF32, {0}};
  const auto found = detect_components(file);
  ASSERT_TRUE(found.ok()) << found.status().to_string();
  EXPECT_EQ(found->at(0).info.prediction, "v");
  EXPECT_EQ(found->at(0).rename("model.diffusion_model.v_pred"), "v_pred");
}

TEST(UNetVariant, OtherComponentsOfTheFileDoNotHaveTheMarkers) {
  auto options = sdxl("v");
  options.with_text = true;
  const TinyModel model(options);
  for (const DetectedComponent& component : model.components())
    EXPECT_EQ(component.rename("v_pred"), component.info.slot == Slot::kUNet ? "v_pred" : "");
}

TEST(UNetVariant, PlaygroundsLatentsAreNormalizedByChannel) {
  const auto edm = TinyModel(sdxl("edm")).unet();
  EXPECT_EQ(edm->traits().latent_scale, 0.5);
  EXPECT_THAT(edm->traits().latent_mean, testing::ElementsAre(-1.6574F, 1.886F, -1.383F, 2.5155F));
  EXPECT_EQ(edm->traits().latent_std.size(), 4u);
  EXPECT_EQ(edm->traits().sigmas.data, 0.5);
  EXPECT_EQ(edm->traits().sigmas.max, 80.0);
  EXPECT_EQ(TinyModel(sdxl("v")).unet()->traits().latent_scale, 0.13025);
  EXPECT_TRUE(TinyModel(sdxl("v")).unet()->traits().latent_mean.empty());
}

TEST(UNetVariant, SigmasInTheFileKeepTheirValueInEveryPrecision) {
  const TinyModel model(sdxl("edm-v"));
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto unet = model.unet(type);
    EXPECT_EQ(unet->traits().sigmas.min, static_cast<double>(0.01F));
    EXPECT_EQ(unet->traits().sigmas.max, 80.0);
    EXPECT_EQ(unet->traits().sigmas.data, 1.0);
  }
}

TEST(UNetVariant, WithoutASmallestSigmaComfyUisDefaultHolds) {
  const WeightStore weights({{"edm_vpred.sigma_max", at::tensor({50.0F})}}, {}, "");
  const auto variant = UNetVariant::read(weights, "sdxl");
  ASSERT_TRUE(variant.ok()) << variant.status().to_string();
  EXPECT_EQ(variant->sigmas.min, 0.002);
  EXPECT_EQ(variant->sigmas.max, 50.0);
}

TEST(UNetVariant, SigmasThatAreNoRangeAreRefused) {
  for (const auto& [low, high] : std::vector<std::pair<float, float>>{
           {0.0F, 80.0F}, {-1.0F, 80.0F}, {80.0F, 80.0F}, {1.0F, NAN}, {1.0F, INFINITY}}) {
    const WeightStore weights({{"edm_vpred.sigma_max", at::scalar_tensor(high)},
                               {"edm_vpred.sigma_min", at::scalar_tensor(low)}},
                              {}, "");
    const Status status = UNetVariant::read(weights, "sdxl").status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("a range of positive numbers"));
  }
  TensorDirectory file = directory_of_file(sdxl("edm-v"));
  file.tensors["edm_vpred.sigma_max"].shape = {2};
  EXPECT_THAT(refusal(file).message(), AllOf(HasSubstr("edm_vpred.sigma_max"), HasSubstr("[2]")));
}

TEST(UNetVariant, MarkersThatAreNotKnownForTheFamilyAreRefusedByName) {
  for (const std::string variant : {"v", "v-zsnr", "edm", "edm-v"}) {
    const Status status = refusal(directory_of_file(sd1(variant)));
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << variant;
    EXPECT_THAT(status.message(), HasSubstr("known for SDXL alone, and this is sd1"));
  }
  TensorDirectory half = directory_of_file(sdxl("edm"));
  half.tensors.erase("edm_std");
  EXPECT_EQ(refusal(half).code(), StatusCode::kUnimplemented);
  EXPECT_THAT(refusal(half).message(), HasSubstr("'edm_mean' and 'edm_std' come together"));
}

TEST(UNetVariant, ZeroTerminalSnrAloneChangesNothingAsInComfyUi) {
  TensorDirectory file = directory_of_file(sdxl(""));
  file.tensors["ztsnr"] = {DType::kF32, {0}};
  EXPECT_EQ(detect_components(file).value().at(0).info.prediction, "eps");
}

TEST(InpaintingUNet, IsToldByItsNineInputChannels) {
  for (const bool large : {false, true}) {
    const TinyModel model(large ? sdxl("", true) : sd1("", true));
    const ComponentInfo& info = model.components()[0].info;
    EXPECT_TRUE(info.inpaint);
    EXPECT_THAT(info.description,
                testing::StartsWith(large ? "SDXL inpainting UNet: " : "SD1.5 inpainting UNet: "));
    const DenoiserTraits traits = model.unet()->traits();
    EXPECT_TRUE(traits.inpaints());
    EXPECT_EQ(traits.latent_channels, 4);
    EXPECT_EQ(traits.blank_latent.size(), 4u);
  }
  EXPECT_FALSE(TinyModel(sd1("")).components()[0].info.inpaint);
  EXPECT_FALSE(TinyModel(sd1("")).unet()->traits().inpaints());
}

TEST(InpaintingUNet, MayBeOfAnotherPrediction) {
  const TinyModel model(sdxl("v", true));
  EXPECT_THAT(model.components()[0].info.description,
              testing::StartsWith("SDXL inpainting UNet (v-prediction): "));
  EXPECT_TRUE(model.unet()->traits().inpaints());
}

TEST(InpaintingUNet, ARowSeesItsOwnConcatAlone) {
  const auto unet = TinyModel(sd1("", true)).unet();
  const at::Tensor x = made_up("x", {2, 4, 8, 8}), context = made_up("context", {2, 77, 64});
  const at::Tensor concat = made_up("concat", {2, 5, 8, 8});
  const at::Tensor timestep = at::tensor({500.0F, 20.0F});
  const at::Tensor both = unet->forward(x, timestep, context, {{"c_concat", concat}});
  at::Tensor other = concat.clone();
  other[1].fill_(0.5);
  const at::Tensor changed = unet->forward(x, timestep, context, {{"c_concat", other}});
  EXPECT_LE(relative(changed[0], both[0]), 1e-6);
  EXPECT_GE(relative(changed[1], both[1]), 1e-3);
}

TEST(InpaintingUNet, OtherNumbersOfChannelsAreRefusedByName) {
  EXPECT_THAT(refusal(with_channels(directory_of_file(sd1("")), 8)).message(),
              AllOf(HasSubstr("8 input and 4 output"), HasSubstr("InstructPix2Pix")));
  EXPECT_THAT(refusal(with_channels(directory_of_file(sdxl("")), 8)).message(),
              HasSubstr("InstructPix2Pix"));
  EXPECT_EQ(refusal(with_channels(directory_of_file(sd1("")), 5)).code(),
            StatusCode::kUnimplemented);
  TensorDirectory refiner = with_channels(directory_of_file(sdxl("")), 9);
  refiner.tensors["model.diffusion_model.label_emb.0.0.weight"].shape[1] = 192 + 5 * kSizeWidth;
  EXPECT_THAT(refusal(refiner).message(), HasSubstr("family sdxl_refiner with 9 input"));
}

}  // namespace
}  // namespace luna::worker
