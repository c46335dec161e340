#include "daemon/worker/adapters/adapter_names.h"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "daemon/worker/adapters/adapter_file.h"
#include "daemon/worker/models/component_names.h"
#include "daemon/worker/models/unet_diffusers_names.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {
namespace {

TensorDirectory directory(const std::vector<support::NamedTensor>& tensors) {
  TensorDirectory directory;
  for (const support::NamedTensor& tensor : tensors)
    directory.tensors.emplace(tensor.name, tensor.spec);
  return directory;
}

/// Of CLIP-G as a single file of SDXL has it.
TensorDirectory clip_g_directory(const support::TinySd15Options& options) {
  TensorDirectory file;
  for (const support::NamedTensor& tensor : tiny_clip_g_tensors(options))
    file.tensors.emplace("conditioner.embedders.1.model." + tensor.name, tensor.spec);
  return renamed(file, find_clip_g(file).value());
}

TEST(DiffusersNames, AreThoseOfComfyUisTableForEveryLayerOfSd15) {
  const auto recorded = nlohmann::json::parse(
      std::ifstream(LUNA_SOURCE_DIR "/tests/parity/fixtures/adapters/names.json"));
  std::map<std::string, std::string> ldm_to_diffusers;
  for (const auto& [diffusers, ldm] : recorded["unet"].items())
    ldm_to_diffusers.emplace(ldm.get<std::string>(), diffusers);
  const TensorDirectory unet = directory(tiny_unet_tensors(support::TinySd15Options::full_depth()));
  const auto config = UNetConfig::detect(unet);
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  const UNetLayerNames names(*config);
  std::size_t compared = 0;
  for (const auto& [name, spec] : unet.tensors) {
    if (!name.ends_with(".weight")) continue;
    const std::string layer = name.substr(0, name.size() - 7);
    ASSERT_TRUE(ldm_to_diffusers.contains(layer)) << layer;
    EXPECT_EQ(names.to_diffusers(layer), ldm_to_diffusers[layer]) << layer;
    EXPECT_EQ(names.to_ldm(ldm_to_diffusers[layer]), layer);
    ++compared;
  }
  EXPECT_GT(compared, 300u);
  EXPECT_EQ(names.to_diffusers("input_blocks.99.0.in_layers.0"), "");
  EXPECT_EQ(names.to_diffusers("nonsense"), "");
}

TEST(AdapterNames, FindAUNetsLayersByEveryName) {
  const auto names = AdapterNames::of(
      Slot::kUNet, directory(tiny_unet_tensors(support::TinySd15Options::full_depth())));
  ASSERT_TRUE(names.ok());
  const std::string layer = "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0";
  for (const char* name :
       {"lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_out_0",
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_out.0",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0"}) {
    ASSERT_TRUE(names->find(name)) << name;
    EXPECT_EQ(names->find(name)->layer, layer) << name;
  }
  EXPECT_EQ(names->find("lora_te_text_model_encoder_layers_0_mlp_fc1"), nullptr);
}

TEST(AdapterNames, FindATextEncodersLayersByEveryName) {
  const auto names = AdapterNames::of(Slot::kClipL, directory(support::tiny_text_tensors({})));
  ASSERT_TRUE(names.ok());
  for (const char* name : {"lora_te_text_model_encoder_layers_1_self_attn_q_proj",
                           "lora_te1_text_model_encoder_layers_1_self_attn_q_proj",
                           "text_encoder.text_model.encoder.layers.1.self_attn.q_proj",
                           "text_encoders.clip_l.transformer.text_model.encoder.layers.1.self_attn."
                           "q_proj"}) {
    ASSERT_TRUE(names->find(name)) << name;
    EXPECT_EQ(names->find(name)->layer, "text_model.encoder.layers.1.self_attn.q_proj");
  }
  EXPECT_EQ(names->find("lora_te2_text_model_encoder_layers_1_self_attn_q_proj"), nullptr);
}

TEST(AdapterNames, FindAThirdOfTheRowsWhereQueryKeyAndValueAreOneMatrix) {
  TensorDirectory component;
  const std::string attention = "text_model.encoder.layers.0.self_attn.";
  component.tensors[attention + "in_proj.weight"] = {DType::kF32, {384, 128}};
  component.tensors[attention + "out_proj.weight"] = {DType::kF32, {128, 128}};
  const auto names = AdapterNames::of(Slot::kClipG, component);
  ASSERT_TRUE(names.ok());
  const std::string kohya = "lora_te2_text_model_encoder_layers_0_self_attn_";
  const AdapterNames::Place expected{attention + "in_proj", 1, 3};
  ASSERT_TRUE(names->find(kohya + "k_proj"));
  EXPECT_EQ(*names->find(kohya + "k_proj"), expected);
  ASSERT_TRUE(names->find("text_encoder_2." + attention + "v_proj"));
  EXPECT_EQ(names->find("text_encoder_2." + attention + "v_proj")->part, 2);
  ASSERT_TRUE(names->find(kohya + "out_proj"));
  EXPECT_EQ(names->find(kohya + "out_proj")->parts, 1);
}

TEST(AdapterNames, FindThePooledVectorsProjectionInEitherForm) {
  TensorDirectory component;
  component.tensors["text_projection"] = {DType::kF32, {128, 64}};
  const auto open_clip = AdapterNames::of(Slot::kClipG, component);
  ASSERT_TRUE(open_clip.ok());
  const AdapterNames::Place expected{.layer = "text_projection", .transposed = true};
  for (const char* name : {"lora_te2_text_projection", "text_encoder_2.text_projection"}) {
    ASSERT_TRUE(open_clip->find(name)) << name;
    EXPECT_EQ(*open_clip->find(name), expected) << name;
  }
  component.tensors = {{"text_projection.weight", {DType::kF32, {64, 128}}}};
  const auto transformers = AdapterNames::of(Slot::kClipG, component);
  ASSERT_TRUE(transformers.ok() && transformers->find("lora_te2_text_projection"));
  EXPECT_FALSE(transformers->find("lora_te2_text_projection")->transposed);
}

TEST(AdapterNames, PlaceEveryTensorThatDiffusersSavesOfSdxlInOneComponent) {
  const support::TinySd15Options options = support::TinySd15Options::sdxl();
  const std::map<Slot, AdapterNames> components = {
      {Slot::kUNet, *AdapterNames::of(Slot::kUNet, directory(tiny_unet_tensors(options)))},
      {Slot::kClipL, *AdapterNames::of(Slot::kClipL, directory(tiny_text_tensors(options)))},
      {Slot::kClipG, *AdapterNames::of(Slot::kClipG, clip_g_directory(options))}};
  const auto recorded = nlohmann::json::parse(
      std::ifstream(LUNA_SOURCE_DIR "/tests/parity/fixtures/adapters/names_diffusers.json"));
  for (const char* format : {"diffusers", "kohya"}) {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const std::string name : recorded[format])
      tensors.emplace_back(name, name.ends_with("alpha") ? at::ones({}) : at::ones({1, 1}));
    const auto adapter = make_adapter(tensors);
    ASSERT_TRUE(adapter.ok()) << adapter.status().to_string();
    EXPECT_THAT(adapter->unknown, testing::IsEmpty()) << format;
    std::map<Slot, std::set<std::pair<std::string, int>>> placed;
    for (const auto& [name, layer] : adapter->layers) {
      int places = 0, meant = 0;
      for (const auto& [slot, names] : components) {
        meant += AdapterNames::is_meant_for(slot, name);
        const AdapterNames::Place* place = names.find(name);
        if (!place) continue;
        ++places;
        EXPECT_TRUE(AdapterNames::is_meant_for(slot, name)) << name;
        EXPECT_TRUE(placed[slot].emplace(place->layer, place->part).second) << name << " twice";
      }
      EXPECT_EQ(places, 1) << format << ": " << name;
      EXPECT_EQ(meant, 1) << format << ": " << name;
    }
    EXPECT_EQ(placed[Slot::kClipL].size(), 3u * 6) << format;
    EXPECT_EQ(placed[Slot::kClipG].size(), 3u * 6 + 1) << format << ", with text_projection";
    EXPECT_EQ(placed[Slot::kUNet].size(), adapter->layers.size() - 37) << format;
  }
}

TEST(AdapterNames, TellWhatALayerWasMeantFor) {
  EXPECT_TRUE(AdapterNames::is_meant_for(Slot::kUNet, "lora_unet_x"));
  EXPECT_FALSE(AdapterNames::is_meant_for(Slot::kClipL, "lora_unet_x"));
  EXPECT_TRUE(AdapterNames::is_meant_for(Slot::kClipG, "lora_te2_x"));
  EXPECT_FALSE(AdapterNames::is_meant_for(Slot::kClipL, "lora_te2_x"));
  EXPECT_TRUE(AdapterNames::is_meant_for(Slot::kClipL, "lora_te1_x"));
  EXPECT_FALSE(AdapterNames::is_meant_for(Slot::kUNet, "text_encoder.x"));
}

}  // namespace
}  // namespace luna::worker
