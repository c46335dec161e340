#include "daemon/worker/models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TensorDirectory with(
    std::initializer_list<std::pair<const char*, std::vector<std::int64_t>>> tensors) {
  TensorDirectory directory;
  for (const auto& [name, shape] : tensors) directory.tensors[name].shape = shape;
  return directory;
}

const ComponentInfo* find(const std::vector<DetectedComponent>& components, Slot slot) {
  for (const DetectedComponent& component : components)
    if (component.info.slot == slot) return &component.info;
  return nullptr;
}

TEST(Registry, ACheckpointHoldsUNetVaeAndTextEncoderWithTheirSizes) {
  const TinyModel model(size_b());
  ASSERT_EQ(model.components().size(), 3u);
  const ComponentInfo* unet = find(model.components(), Slot::kUNet);
  const ComponentInfo* vae = find(model.components(), Slot::kVae);
  const ComponentInfo* clip = find(model.components(), Slot::kClipL);
  ASSERT_TRUE(unet && vae && clip);
  EXPECT_EQ(unet->family, "sd1");
  EXPECT_EQ(vae->family, "autoencoder_kl");
  EXPECT_EQ(clip->family, "clip_l");
  EXPECT_THAT(unet->description, AllOf(HasSubstr("64 channels x 1,2,4"), HasSubstr("blocks 2,1,2"),
                                       HasSubstr("transformers 1,2,0"), HasSubstr("context 128"),
                                       HasSubstr("8 heads")));
  EXPECT_THAT(vae->description,
              AllOf(HasSubstr("4 latent channels"), HasSubstr("widths 64,64,128,128")));
  EXPECT_THAT(clip->description,
              AllOf(HasSubstr("3 layers"), HasSubstr("width 128"), HasSubstr("2 heads")));
  std::uint64_t expected = 0;
  for (const auto& tensor : support::tiny_unet_tensors(size_b()))
    expected += static_cast<std::uint64_t>(tensor.spec.numel());
  EXPECT_EQ(unet->parameters, expected);
}

TEST(Registry, EachComponentIsFoundAloneInAFileWithItsOwnNames) {
  for (const Slot slot : {Slot::kUNet, Slot::kVae, Slot::kClipL}) {
    auto options = size_a();
    options.with_unet = slot == Slot::kUNet;
    options.with_vae = slot == Slot::kVae;
    options.with_text = slot == Slot::kClipL;
    options.bare_names = true;
    const TinyModel alone(options);
    ASSERT_EQ(alone.components().size(), 1u) << slot_name(slot);
    EXPECT_EQ(alone.components()[0].info.slot, slot);
    EXPECT_EQ(alone.weights(slot)->content_hash(),
              TinyModel(size_a()).weights(slot)->content_hash());
  }
}

TEST(Registry, OldCheckpointsWithoutTextModelInTheNamesAreRead) {
  const auto old =
      with({{"cond_stage_model.transformer.embeddings.token_embedding.weight", {100, 64}},
            {"cond_stage_model.transformer.embeddings.position_embedding.weight", {77, 64}},
            {"cond_stage_model.transformer.embeddings.position_ids", {1, 77}},
            {"cond_stage_model.transformer.encoder.layers.0.layer_norm1.weight", {64}},
            {"cond_stage_model.transformer.encoder.layers.0.mlp.fc1.weight", {256, 64}}});
  const auto found = detect_components(old);
  ASSERT_TRUE(found.ok()) << found.status().to_string();
  ASSERT_EQ(found->size(), 1u);
  const auto& rename = found->front().rename;
  EXPECT_EQ(rename("cond_stage_model.transformer.encoder.layers.0.mlp.fc1.weight"),
            "text_model.encoder.layers.0.mlp.fc1.weight");
  EXPECT_EQ(rename("cond_stage_model.transformer.embeddings.position_ids"), "");
  EXPECT_EQ(rename("model.diffusion_model.out.2.weight"), "");
}

TEST(Registry, ADiffusersVaeIsRenamedAndItsMatricesServeAsConvolutions) {
  const TinyModel model([] {
    auto options = size_a();
    options.with_unet = options.with_text = false;
    return options;
  }());
  const auto vae = model.vae();
  WeightStore::Tensors tensors = model.weights(Slot::kVae)->tensors();
  for (auto& [name, tensor] : tensors)
    if (name.find("attn_1") != std::string::npos && tensor.dim() == 4) tensor = tensor.flatten(1);
  const auto built =
      build_component(model.components()[0].info,
                      std::make_shared<const WeightStore>(std::move(tensors),
                                                          std::map<std::string, std::string>(), ""),
                      at::kFloat, at::kCPU);
  ASSERT_TRUE(built.ok()) << built.status().to_string();
  const at::Tensor latent = made_up("matrices", {1, 4, 4, 4});
  EXPECT_LE(
      relative(std::get<std::shared_ptr<const Vae>>(*built)->decode(latent), vae->decode(latent)),
      1e-6);
}

TEST(Registry, KnownFamiliesThatAreNotServedAreRefusedByName) {
  const auto refusal = [](const TensorDirectory& directory) {
    const auto found = detect_components(directory);
    EXPECT_EQ(found.status().code(), StatusCode::kUnimplemented) << found.status().to_string();
    return found.status().message();
  };
  EXPECT_THAT(
      refusal(with({{"model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight", {1}}})),
      AllOf(HasSubstr("SD3"), HasSubstr("joint_blocks")));
  EXPECT_THAT(refusal(with({{"double_blocks.0.img_attn.norm.key_norm.scale", {128}}})),
              HasSubstr("Flux"));
  EXPECT_THAT(refusal(with({{"noise_refiner.0.attention.k_norm.weight", {128}}})),
              HasSubstr("Z-Image"));
  EXPECT_THAT(refusal(with({{"text_model.encoder.layers.22.mlp.fc1.weight", {4096, 1024}},
                            {"text_model.encoder.layers.0.mlp.fc1.weight", {4096, 1024}}})),
              HasSubstr("CLIP-H"));
}

TEST(Registry, AClipGAloneInAFileIsToldByItsDepth) {
  TensorDirectory file = with({{"text_model.embeddings.token_embedding.weight", {49408, 1280}},
                               {"text_model.embeddings.position_embedding.weight", {77, 1280}},
                               {"text_projection.weight", {1280, 1280}}});
  for (int layer = 0; layer < 32; ++layer) {
    const std::string name = "text_model.encoder.layers." + std::to_string(layer);
    file.tensors[name + ".layer_norm1.weight"] = {DType::kF16, {1280}};
    file.tensors[name + ".mlp.fc1.weight"] = {DType::kF16, {5120, 1280}};
  }
  const auto found = detect_components(file);
  ASSERT_TRUE(found.ok()) << found.status().to_string();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->at(0).info.slot, Slot::kClipG);
  EXPECT_EQ(found->at(0).info.description,
            "CLIP-G text encoder: 32 layers, width 1280, 20 heads, 77 tokens");
  EXPECT_EQ(found->at(0).rename("text_projection.weight"), "text_projection.weight");
}

TEST(Registry, UnknownFilesAreRefusedWithWhatWasLookedForAndFound) {
  const auto found = detect_components(with({{"stem.weight", {3, 3}}, {"head.bias", {10}}}));
  EXPECT_EQ(found.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(found.status().message(),
              AllOf(HasSubstr("input_blocks.0.0.weight"), HasSubstr("'stem.weight' f32[3,3]")));
  EXPECT_THAT(detect_components({}).status().message(), HasSubstr("no tensors at all"));
  EXPECT_THAT(
      detect_components(with({{"lora_unet_x.lora_down.weight", {4, 4}}})).status().message(),
      HasSubstr("adapter"));
}

TEST(Registry, MetadataMayGiveTheHeadsAndMustBeANumber) {
  const TinyModel model(size_a());
  auto directory = read_directory(model.path());
  ASSERT_TRUE(directory.ok());
  directory->metadata["luna.unet.heads"] = "4";
  auto found = detect_components(*directory);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(find(*found, Slot::kUNet)->description, HasSubstr("4 heads"));
  directory->metadata["luna.unet.heads"] = "four";
  EXPECT_THAT(detect_components(*directory).status().message(), HasSubstr("'four'"));
  directory->metadata["luna.unet.heads"] = "7";
  EXPECT_THAT(detect_components(*directory).status().message(), HasSubstr("7 heads"));
}

TEST(Registry, MetadataMayGiveTheSizeOfThePicturesAndIsPassedOverWhenItIsNone) {
  const TinyModel model(size_a());
  auto directory = read_directory(model.path());
  ASSERT_TRUE(directory.ok());
  const auto size_of = [&](const std::string& text) {
    directory->metadata["modelspec.resolution"] = text;
    const auto found = detect_components(*directory);
    const ComponentInfo* unet = found.ok() ? find(*found, Slot::kUNet) : nullptr;
    return unet ? std::pair(unet->native_width, unet->native_height) : std::pair(1u, 1u);
  };
  EXPECT_EQ(size_of("128x192"), std::pair(128u, 192u));
  for (const char* text : {"", "128", "128x", "x128", "128x128x", "0x0", "-1x128", "99999999x128"})
    EXPECT_EQ(size_of(text), std::pair(0u, 0u)) << text;
}

TEST(Registry, TruncatedLayoutsAreRefusedAtDetectionNotAtRunTime) {
  const TinyModel model(size_a());
  const auto directory = read_directory(model.path());
  ASSERT_TRUE(directory.ok());
  TensorDirectory cut = *directory;
  cut.tensors.erase("model.diffusion_model.output_blocks.3.0.in_layers.0.weight");
  EXPECT_THAT(detect_components(cut).status().message(), HasSubstr("output_blocks.3"));
  cut = *directory;
  cut.tensors["model.diffusion_model.input_blocks.0.0.weight"].shape = {33, 4, 3, 3};
  EXPECT_EQ(detect_components(cut).status().code(), StatusCode::kInvalidArgument);
  cut = *directory;
  cut.tensors["model.diffusion_model.input_blocks.0.0.weight"].shape = {};
  EXPECT_EQ(detect_components(cut).status().code(), StatusCode::kInvalidArgument);
}

TEST(Registry, AFamilyWithoutAClassIsRefused) {
  ComponentInfo info;
  info.slot = Slot::kT5;
  info.family = "t5";
  const auto built =
      build_component(info,
                      std::make_shared<const WeightStore>(WeightStore::Tensors(),
                                                          std::map<std::string, std::string>(), ""),
                      at::kFloat, at::kCPU);
  EXPECT_EQ(built.status().code(), StatusCode::kUnimplemented);
  EXPECT_THAT(built.status().message(), HasSubstr("t5"));
}

}  // namespace
}  // namespace luna::worker
