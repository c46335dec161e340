// Adapters as overlays over models that never change: what a call with a LoRA set answers, and what
// is left of it afterwards.
#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>

#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/engine_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Adapters : public EngineTest {
 protected:
  /// A LoRA of rank 2 over a few layers of the tiny UNet, in kohya's names.
  std::string unet_lora(const std::string& name) {
    support::SafetensorsWriter writer;
    const auto add = [&](const std::string& layer, std::int64_t out, std::int64_t in) {
      add_values(writer, name, layer + ".lora_up.weight", {out, 2});
      add_values(writer, name, layer + ".lora_down.weight", {2, in});
    };
    add("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", 32, 32);
    add("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 32, 64);
    add("lora_unet_mid_block_attentions_0_transformer_blocks_0_ff_net_2", 64, 256);
    add_values(writer, name, "lora_unet_conv_in.lora_up.weight", {32, 2, 1, 1});
    add_values(writer, name, "lora_unet_conv_in.lora_down.weight", {2, 4, 3, 3});
    writer.write(dir_.file(name));
    return dir_.file(name);
  }
  std::string text_lora(const std::string& name) {
    support::SafetensorsWriter writer;
    const std::string layer = "lora_te_text_model_encoder_layers_0_self_attn_v_proj";
    add_values(writer, name, layer + ".lora_up.weight", {64, 2});
    add_values(writer, name, layer + ".lora_down.weight", {2, 64});
    writer.write(dir_.file(name));
    return dir_.file(name);
  }
  static void add_values(support::SafetensorsWriter& writer, const std::string& salt,
                         const std::string& name, const std::vector<std::int64_t>& shape) {
    writer.add(name, shape,
               support::uniform_values(
                   salt + name, static_cast<std::size_t>(c10::multiply_integers(shape)), 0.5F));
  }

  SampleRequest with(const std::vector<LoraRef>& loras, std::uint64_t seed = 1) {
    SampleRequest request = sample_request(seed);
    request.rows[0].loras = loras;
    return request;
  }
  std::vector<float> latent(SampleRequest request, std::size_t row = 0) {
    const auto reply = run(std::move(request));
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    if (!reply.ok()) return {};
    return floats_of(std::get<SampleReply>(*reply).latents.at(row)).value();
  }
  std::vector<float> encoding(const std::vector<LoraRef>& loras) {
    EncodeTextRequest request;
    request.text = "a red fox";
    request.loras = loras;
    const auto reply = run(request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    if (!reply.ok()) return {};
    return floats_of(std::get<EncodeTextReply>(*reply).cross_attn).value();
  }
  std::uint64_t overlays() { return engine_->report().memory.at("overlays"); }
};

TEST_F(Adapters, ThatReplaceEveryWeightMakeTheOtherModelsPicture) {
  support::TinySd15Options other = tiny_options();
  other.unet_salt = "another";
  const std::string checkpoint = dir_.file("other.safetensors");
  support::write_tiny_sd15(checkpoint, other);
  support::SafetensorsWriter writer;
  for (const support::NamedTensor& tensor : tiny_unet_tensors(other)) {
    const auto count = static_cast<std::size_t>(tensor.spec.numel());
    std::vector<float> ours(count), theirs(count);
    support::fill_weight(tensor.name, tensor.spec.shape, ours);
    support::fill_weight("another" + tensor.name, tensor.spec.shape, theirs);
    const bool bias = tensor.name.ends_with(".bias");
    const std::string layer =
        "diffusion_model." + tensor.name.substr(0, tensor.name.size() - (bias ? 5 : 7));
    for (std::size_t i = 0; bias && i < count; ++i) theirs[i] -= ours[i];
    writer.add(layer + (bias ? ".diff_b" : ".set_weight"), tensor.spec.shape, theirs);
  }
  writer.write(dir_.file("all.safetensors"));

  const std::vector<float> adapted = latent(with({{dir_.file("all.safetensors"), 1, 1}}));
  models_.slots[Slot::kUNet].path = checkpoint;
  EXPECT_THAT(adapted, IsNear(latent(with({})), 1e-5));
}

TEST_F(Adapters, OfPeftHaveTheScaleOfTheConfigBesideThemAndAnotherOneWhenItChanges) {
  const std::string adapter = unet_lora("adapter_model.safetensors");
  const std::string alone = dir_.file("alone.safetensors");
  std::filesystem::copy_file(adapter, alone);
  const auto write_config = [&](int alpha) {
    std::ofstream(dir_.file("adapter_config.json"))
        << R"({"peft_type": "LORA", "r": 2, "lora_alpha": )" << alpha << "}";
  };
  write_config(3);
  EXPECT_THAT(latent(with({{adapter, 1, 1}})), IsNear(latent(with({{alone, 1.5, 1}})), 1e-5));
  write_config(1);
  EXPECT_THAT(latent(with({{adapter, 1, 1}})), IsNear(latent(with({{alone, 0.5, 1}})), 1e-5));
}

TEST_F(Adapters, LeaveTheModelAsItWasBitForBitAfterAnyNumberOfSwitches) {
  const std::vector<float> pristine = latent(with({}));
  const std::string a = unet_lora("a.safetensors"), b = unet_lora("b.safetensors");
  const std::vector<float> first = latent(with({{a, 0.8, 0.8}}));
  EXPECT_THAT(first, Not(IsNear(pristine, 1e-3)));
  std::mt19937 random(3);
  for (int i = 0; i < 40; ++i) {
    const double strength = 0.1 * static_cast<double>(random() % 20);
    latent(with({{random() % 2 == 0 ? a : b, strength, 1}, {b, 0.3, 0}}));
  }
  EXPECT_EQ(latent(with({})), pristine);
  EXPECT_EQ(latent(with({{a, 0.8, 0.8}})), first);
}

TEST_F(Adapters, OfDifferentRowsDoNotMix) {
  const std::string a = unet_lora("a.safetensors"), b = unet_lora("b.safetensors");
  const std::vector<std::vector<LoraRef>> sets = {
      {{a, 1, 1}}, {}, {{b, 0.5, 1}}, {{a, 1, 1}, {b, 0.5, 1}}, {{a, 1, 1}}};
  SampleRequest request = with(sets[0]);
  for (std::size_t i = 1; i < sets.size(); ++i) request.rows.push_back(with(sets[i], 1).rows[0]);
  const auto reply = run(request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto& latents = std::get<SampleReply>(*reply).latents;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    EXPECT_THAT(floats_of(latents[i]).value(), IsNear(latent(with(sets[i])), 1e-4)) << i;
  }
  EXPECT_THAT(floats_of(latents[0]).value(), Not(IsNear(floats_of(latents[3]).value(), 1e-3)));
}

TEST_F(Adapters, OfStrengthZeroCostNothingAndChangeNothing) {
  const std::string a = unet_lora("a.safetensors");
  EXPECT_EQ(latent(with({{a, 0, 0}})), latent(with({})));
  EXPECT_EQ(overlays(), 0u);
}

TEST_F(Adapters, AnOverlayTakesTheMemoryOfTheWeightsThatItChangesAndGoesWithItsModel) {
  latent(with({{unet_lora("a.safetensors"), 1, 1}}));
  const std::uint64_t one = overlays();
  const std::uint64_t changed = (32 * 32 + 32 * 64 + 64 * 256 + 32 * 4 * 9) * 4;
  EXPECT_GE(one, changed);
  EXPECT_LE(one, 2 * changed) << "packed forms are padded";
  UnloadModelRequest unload;
  unload.path = checkpoint();
  const auto reply = run(unload);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(overlays(), 0u);
}

TEST_F(Adapters, ModelAndTextEncoderHaveStrengthsOfTheirOwn) {
  const std::string text = text_lora("text.safetensors"), unet = unet_lora("unet.safetensors");
  const std::vector<float> pristine = encoding({});
  EXPECT_THAT(encoding({{text, 0, 1}}), Not(IsNear(pristine, 1e-3)));
  EXPECT_EQ(encoding({{text, 1, 0}}), pristine);
  EXPECT_EQ(encoding({{unet, 1, 1}}), pristine) << "it has nothing for a text encoder";
  EXPECT_EQ(latent(with({{text, 1, 1}})), latent(with({}))) << "nor this for a UNet";
}

TEST_F(Adapters, AFileThatIsReplacedIsReadAnew) {
  const std::string a = unet_lora("a.safetensors");
  const std::vector<float> before = latent(with({{a, 1, 1}}));
  std::filesystem::rename(unet_lora("b.safetensors"), a);
  EXPECT_THAT(latent(with({{a, 1, 1}})), Not(IsNear(before, 1e-3)));
}

TEST_F(Adapters, ThatDoNotFitAreRefusedByFileAndLayer) {
  support::SafetensorsWriter writer;
  const std::string layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  add_values(writer, "", layer + ".lora_up.weight", {320, 4});
  add_values(writer, "", layer + ".lora_down.weight", {4, 320});
  writer.write(dir_.file("large.safetensors"));
  const auto large = run(with({{dir_.file("large.safetensors"), 1, 1}}));
  EXPECT_THAT(large.status().to_string(),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("large.safetensors"), HasSubstr(layer),
                    HasSubstr("weight [32, 32]"), HasSubstr("320 x 320")));

  support::SafetensorsWriter stranger;
  add_values(stranger, "", "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight", {8, 4});
  add_values(stranger, "", "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", {4, 8});
  stranger.write(dir_.file("flux.safetensors"));
  EXPECT_THAT(run(with({{dir_.file("flux.safetensors"), 1, 1}})).status().to_string(),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("another family"),
                    HasSubstr("double_blocks_0")));
  EXPECT_EQ(run(with({{dir_.file("none.safetensors"), 1, 1}})).status().code(),
            StatusCode::kNotFound);
  EXPECT_TRUE(run(with({})).ok()) << "the next picture is right";
}

TEST_F(Adapters, LayersThatTheModelLacksAreNamedInTheReply) {
  support::SafetensorsWriter writer;
  for (const std::string layer : {"lora_te_text_model_encoder_layers_0_mlp_fc1",
                                  "lora_te_text_model_encoder_layers_23_mlp_fc1"}) {
    add_values(writer, "", layer + ".lora_up.weight", {256, 2});
    add_values(writer, "", layer + ".lora_down.weight", {2, 64});
  }
  writer.write(dir_.file("deep.safetensors"));
  EncodeTextRequest request;
  request.text = "a";
  request.loras = {{dir_.file("deep.safetensors"), 1, 1}};
  const auto reply = run(request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_THAT(std::get<EncodeTextReply>(*reply).warnings,
              ElementsAre(AllOf(HasSubstr("1 of its 2 layers"), HasSubstr("layers_23"))));
}

}  // namespace
}  // namespace luna::worker
