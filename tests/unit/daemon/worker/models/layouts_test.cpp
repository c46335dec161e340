// One model in several layouts: the checkpoint's single file, shards, diffusers' folder and files
// of one component. tests/support writes diffusers' names apart from the tables that are tested
// here.
#include <filesystem>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/models/registry.h"
#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/several_files.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

using support::TinySd15Options;
using testing::HasSubstr;

struct Found {
  ComponentInfo info;
  std::shared_ptr<const WeightStore> weights;
  Component model;
};
using FoundBySlot = std::map<Slot, Found>;

FoundBySlot load(const std::string& path) {
  FoundBySlot found;
  const auto directory = read_directory(path);
  EXPECT_TRUE(directory.ok()) << directory.status().to_string();
  if (!directory.ok()) return found;
  const auto components = detect_components(*directory);
  EXPECT_TRUE(components.ok()) << components.status().to_string();
  if (!components.ok()) return found;
  for (const DetectedComponent& component : *components) {
    auto weights = load_weights({path, component.rename, at::kFloat, at::kCPU});
    EXPECT_TRUE(weights.ok()) << weights.status().to_string();
    if (!weights.ok()) continue;
    auto model = build_component(component.info, *weights, at::kFloat, at::kCPU);
    EXPECT_TRUE(model.ok()) << model.status().to_string();
    if (model.ok())
      found.emplace(component.info.slot, Found{component.info, *weights, *std::move(model)});
  }
  return found;
}

class Layouts : public testing::TestWithParam<bool> {
 protected:
  static TinySd15Options options() {
    return GetParam() ? TinySd15Options::sdxl() : TinySd15Options();
  }
  FoundBySlot single() {
    support::write_tiny_sd15(dir_.file("one.safetensors"), options());
    return load(dir_.file("one.safetensors"));
  }
  void expect_the_same(const FoundBySlot& found, const FoundBySlot& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [slot, one] : expected) {
      ASSERT_TRUE(found.contains(slot)) << slot_name(slot);
      const Found& other = found.at(slot);
      EXPECT_EQ(other.info.family, one.info.family);
      EXPECT_EQ(other.info.description, one.info.description);
      EXPECT_EQ(other.info.parameters, one.info.parameters);
    }
  }
  support::TempDir dir_;
};
INSTANTIATE_TEST_SUITE_P(Families, Layouts, testing::Bool(),
                         [](const auto& info) { return info.param ? "Sdxl" : "Sd15"; });

TEST_P(Layouts, ShardsAreTheSingleFilesComponentsWithTheirHashes) {
  support::write_tiny_shards(dir_.file("x.safetensors.index.json"), options(), 3);
  const FoundBySlot one = single(), shards = load(dir_.file("x.safetensors.index.json"));
  expect_the_same(shards, one);
  for (const auto& [slot, found] : one)
    EXPECT_EQ(shards.at(slot).weights->content_hash(), found.weights->content_hash())
        << slot_name(slot);
}

TEST_P(Layouts, ADiffusersFolderIsTheSingleFilesComponentsWithTheirHashesButForClipG) {
  support::write_diffusers_folder(dir_.file("folder"), options(), {.unet_shards = 2});
  const FoundBySlot one = single(), folder = load(dir_.file("folder"));
  expect_the_same(folder, one);
  for (const auto& [slot, found] : one) {
    const bool fused = slot == Slot::kClipG;  // in open_clip's names
    EXPECT_EQ(folder.at(slot).weights->content_hash() == found.weights->content_hash(), !fused)
        << slot_name(slot);
  }
}

TEST_P(Layouts, TextEncodersVaesAndUNetsGiveTheSameBitsInBoth) {
  support::write_diffusers_folder(dir_.file("folder"), options());
  const FoundBySlot one = single(), folder = load(dir_.file("folder"));
  ASSERT_EQ(folder.size(), one.size());
  for (const Slot slot : {Slot::kClipL, Slot::kClipG}) {
    if (!one.contains(slot)) continue;
    const auto encoded = [&](const FoundBySlot& found) {
      std::vector<Token> chunk(77);
      for (int i = 0; i < 77; ++i)
        chunk[static_cast<std::size_t>(i)].id = i < 9 ? 320 + 1000 * i : 49407;
      const auto encoder = std::get<std::shared_ptr<const TextEncoder>>(found.at(slot).model);
      return encoder->encode({chunk}, {}).value();
    };
    EXPECT_TRUE(encoded(folder).hidden.equal(encoded(one).hidden)) << slot_name(slot);
    EXPECT_TRUE(encoded(folder).pooled.equal(encoded(one).pooled)) << slot_name(slot);
  }
  const auto decoded = [](const FoundBySlot& found) {
    return std::get<std::shared_ptr<const Vae>>(found.at(Slot::kVae).model)
        ->decode(made_up("latent", {1, 4, 4, 4}));
  };
  EXPECT_TRUE(decoded(folder).equal(decoded(one)));
  for (const auto& [name, tensor] : one.at(Slot::kUNet).weights->tensors()) {
    const at::Tensor* other = folder.at(Slot::kUNet).weights->find(name);
    ASSERT_NE(other, nullptr) << name;
    EXPECT_TRUE(other->equal(tensor)) << name;
  }
}

TEST_P(Layouts, EachComponentIsFoundAloneInDiffusersNames) {
  const auto alone = [&](const char* name, std::vector<support::FilledTensor> tensors,
                         const std::string& config) {
    const std::string path = dir_.file(name);
    support::write_tensors(path, std::move(tensors));
    if (!config.empty())
      std::ofstream(std::filesystem::path(path).parent_path() / "config.json") << config;
    return load(path);
  };
  const FoundBySlot one = single();
  const auto is_of = [&](const FoundBySlot& found, Slot slot) {
    return found.size() == 1 && found.contains(slot) &&
           found.at(slot).info.description == one.at(slot).info.description;
  };
  EXPECT_TRUE(
      is_of(alone("u/unet.safetensors", diffusers_unet_tensors(options()), ""), Slot::kUNet));
  EXPECT_TRUE(is_of(alone("v/vae.safetensors", diffusers_vae_tensors(options()), ""), Slot::kVae));
  EXPECT_TRUE(
      is_of(alone("l/clip.safetensors", transformers_clip_l_tensors(options()), ""), Slot::kClipL));
  if (!GetParam()) return;
  EXPECT_TRUE(is_of(alone("g/model.safetensors", transformers_clip_g_tensors(options()),
                          transformers_clip_g_config(options())),
                    Slot::kClipG));
}

TEST(LayoutsOfClip, AnEncoderWithoutTheFirstWordOfItsNamesIsTheSame) {
  const support::TempDir dir;
  auto tensors = support::transformers_clip_l_tensors({});
  support::write_tensors(dir.file("four.safetensors"), tensors);
  for (support::FilledTensor& tensor : tensors)
    tensor.name = tensor.name.substr(std::string("text_model.").size());
  support::write_tensors(dir.file("five.safetensors"), tensors);
  const FoundBySlot four = load(dir.file("four.safetensors"));
  const FoundBySlot five = load(dir.file("five.safetensors"));
  ASSERT_TRUE(four.contains(Slot::kClipL) && five.contains(Slot::kClipL));
  EXPECT_EQ(five.at(Slot::kClipL).weights->content_hash(),
            four.at(Slot::kClipL).weights->content_hash());
}

TEST(LayoutsOfClip, AProjectionAloneMakesNoClipG) {
  const support::TempDir dir;
  auto tensors = support::transformers_clip_l_tensors({});
  tensors.push_back({"text_projection.weight", {DType::kF32, {64, 64}}, [](std::span<float> out) {
                       std::ranges::fill(out, 0.5F);
                     }});
  support::write_tensors(dir.file("clip_l.safetensors"), tensors);
  const FoundBySlot found = load(dir.file("clip_l.safetensors"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.at(Slot::kClipL).weights->find("text_projection.weight"), nullptr);
}

TEST(LayoutsOfClip, AnEncoderOfClipLsWidthIsOneWhateverItsGelu) {
  TensorDirectory file;
  for (const auto& [name, shape] : std::map<std::string, std::vector<std::int64_t>>{
           {"text_model.embeddings.token_embedding.weight", {49408, 768}},
           {"text_model.embeddings.position_embedding.weight", {77, 768}},
           {"text_model.encoder.layers.0.layer_norm1.weight", {768}},
           {"text_model.encoder.layers.0.mlp.fc1.weight", {3072, 768}},
           {"text_projection.weight", {768, 768}}})
    file.tensors[name] = {DType::kF32, shape};
  file.metadata["luna.clip_g.heads"] = "12";  // as its config.json with "gelu" says
  const auto found = detect_components(file);
  ASSERT_TRUE(found.ok()) << found.status().to_string();
  EXPECT_EQ(found->at(0).info.slot, Slot::kClipL);
}

TEST(LayoutsOfFolders, HeadsAndGroupsComeFromTheConfigurations) {
  const support::TempDir dir;
  TinySd15Options options;
  options.text_heads = 4;
  options.vae_groups = 16;
  support::write_diffusers_folder(dir.file("folder"), options);
  const FoundBySlot found = load(dir.file("folder"));
  EXPECT_THAT(found.at(Slot::kClipL).info.description, HasSubstr("4 heads"));
  EXPECT_EQ(found.at(Slot::kVae).weights->metadata().at("luna.vae.groups"), "16");
}

TEST(LayoutsOfFolders, AFolderOfAnotherFamilyIsRefusedByName) {
  const support::TempDir dir;
  dir.write("flux/model_index.json", "{}");
  support::write_tensors(dir.file("flux/transformer/diffusion_pytorch_model.safetensors"),
                         {{"transformer_blocks.0.attn.add_q_proj.weight",
                           {DType::kF32, {2, 2}},
                           [](std::span<float> out) { std::ranges::fill(out, 0.0F); }}});
  const auto found = detect_components(read_directory(dir.file("flux")).value());
  EXPECT_EQ(found.status().code(), StatusCode::kUnimplemented);
  EXPECT_THAT(found.status().message(), HasSubstr("Flux in diffusers' layout"));
}

}  // namespace
}  // namespace luna::worker
