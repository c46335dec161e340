// Adapters as overlays over models that never change: what a call with a LoRA set answers, and what
// is left of it afterwards.
#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>

#include "tests/support/deterministic.h"
#include "tests/support/repetitions.h"
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

  static LoraRef lora(const std::string& path, double model = 1, double clip = 1) {
    return {path, model, clip, {}};
  }
  SampleRequest with(const std::vector<LoraRef>& loras, std::uint64_t seed = 1) {
    SampleRequest request = sample_request(seed);
    request.rows[0].loras = loras;
    request.lora_application = application_;
    return request;
  }
  SampleReply sampled(SampleRequest request) {
    const auto reply = run(std::move(request));
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    return reply.ok() ? std::get<SampleReply>(*reply) : SampleReply();
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
  LoraApplication application_ = LoraApplication::kAuto;
};

/// What holds whichever way the sets are applied.
class AdaptersEitherWay : public Adapters, public testing::WithParamInterface<LoraApplication> {
 protected:
  AdaptersEitherWay() { application_ = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Applied, AdaptersEitherWay,
                         testing::Values(LoraApplication::kMerged, LoraApplication::kRowWise),
                         [](const auto& info) {
                           return info.param == LoraApplication::kMerged ? "Merged" : "RowWise";
                         });

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

  const std::vector<float> adapted = latent(with({lora(dir_.file("all.safetensors"))}));
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
  EXPECT_THAT(latent(with({lora(adapter)})), IsNear(latent(with({lora(alone, 1.5)})), 1e-5));
  write_config(1);
  EXPECT_THAT(latent(with({lora(adapter)})), IsNear(latent(with({lora(alone, 0.5)})), 1e-5));
}

TEST_P(AdaptersEitherWay, LeaveTheModelAsItWasBitForBitAfterAnyNumberOfSwitches) {
  const std::vector<float> pristine = latent(with({}));
  const std::string a = unet_lora("a.safetensors"), b = unet_lora("b.safetensors");
  const std::vector<float> first = latent(with({lora(a, 0.8)}));
  EXPECT_THAT(first, Not(IsNear(pristine, 1e-3)));
  std::mt19937 random(3);
  for (int i = 0; i < support::repetitions(40, 10'000); ++i) {
    const double strength = 0.001 * static_cast<double>(random() % 2000);
    latent(with({lora(random() % 2 == 0 ? a : b, strength), lora(b, 0.3, 0)}));
  }
  EXPECT_EQ(latent(with({})), pristine);
  EXPECT_EQ(latent(with({lora(a, 0.8)})), first);
}

TEST_F(Adapters, MergedAndRowByRowAreOneResult) {
  const std::string a = unet_lora("a.safetensors"), b = unet_lora("b.safetensors");
  const std::vector<std::vector<LoraRef>> sets = {
      {lora(a)},
      {lora(a, -0.4), lora(b, 0.7)},
      {{a, 1, 1, {{"middle_block", 0}, {"input_blocks", 2}}}}};
  for (const std::vector<LoraRef>& set : sets) {
    application_ = LoraApplication::kMerged;
    const SampleReply merged = sampled(with(set));
    application_ = LoraApplication::kRowWise;
    const SampleReply row_wise = sampled(with(set));
    EXPECT_EQ(merged.loras.at(0).application, LoraApplication::kMerged);
    EXPECT_EQ(row_wise.loras.at(0).application, LoraApplication::kRowWise);
    EXPECT_THAT(floats_of(row_wise.latents.at(0)).value(),
                IsNear(floats_of(merged.latents.at(0)).value(), 1e-4));
  }
}

TEST_P(AdaptersEitherWay, StrengthsOfBlocksMultiplyTheSets) {
  const std::string a = unet_lora("a.safetensors");
  const std::vector<float> whole = latent(with({lora(a, 0.5)}));
  const LoraRef halved{a, 1, 1, {{"input_blocks", 0.5}, {"middle_block", 0.5}}};
  EXPECT_THAT(latent(with({halved})), IsNear(whole, 1e-5));
  const LoraRef nothing{a, 1, 1, {{"input_blocks", 0}, {"middle_block", 0}}};
  EXPECT_THAT(latent(with({nothing})), IsNear(latent(with({})), 1e-6));
}

TEST_F(Adapters, ASetThatCannotBeAddedRowByRowIsMergedAndTheReplySaysWhy) {
  support::SafetensorsWriter writer;
  const std::string layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_ff_net_2";
  for (const std::string part : {"hada_w1", "hada_w2"}) {
    add_values(writer, part, layer + "." + part + "_a", {64, 2});
    add_values(writer, part, layer + "." + part + "_b", {2, 256});
  }
  writer.write(dir_.file("loha.safetensors"));
  const std::string loha = dir_.file("loha.safetensors"), a = unet_lora("a.safetensors");
  application_ = LoraApplication::kRowWise;
  SampleRequest request = with({lora(loha)});
  request.rows.push_back(with({lora(a)}).rows[0]);
  request.rows.push_back(with({}).rows[0]);
  const SampleReply reply = sampled(request);
  ASSERT_EQ(reply.loras.size(), 3u);
  EXPECT_EQ(reply.loras[0].application, LoraApplication::kMerged);
  EXPECT_THAT(reply.loras[0].reason, AllOf(HasSubstr("loha.safetensors"), HasSubstr(layer)));
  EXPECT_EQ(reply.loras[1], (AppliedLoras{LoraApplication::kRowWise, ""}));
  EXPECT_EQ(reply.loras[2], AppliedLoras());
  application_ = LoraApplication::kMerged;
  EXPECT_THAT(floats_of(reply.latents[0]).value(), IsNear(latent(with({lora(loha)})), 1e-4));
  EXPECT_THAT(floats_of(reply.latents[1]).value(), IsNear(latent(with({lora(a)})), 1e-4));
}

TEST_F(Adapters, RowsOfDifferentSetsShareForwardsWhenTheyAreAddedRowByRow) {
  const std::string a = unet_lora("a.safetensors"), b = unet_lora("b.safetensors");
  const auto forwards_of_eight = [&](LoraApplication application) {
    application_ = application;
    SampleRequest request = with({lora(a, 0.1)});
    for (int i = 1; i < 8; ++i) {
      request.rows.push_back(with({lora(i % 2 == 0 ? a : b, 0.1 * (i + 1))}).rows[0]);
    }
    const std::uint64_t before = unet_forwards();
    sampled(std::move(request));
    return unet_forwards() - before;
  };
  EXPECT_EQ(forwards_of_eight(LoraApplication::kRowWise), 4u) << "one a step";
  EXPECT_EQ(forwards_of_eight(LoraApplication::kMerged), 8 * 4u);
  EXPECT_EQ(forwards_of_eight(LoraApplication::kAuto), 4u) << "there is company";
}

TEST_F(Adapters, ChangingStrengthsReadsNoFileAndTakesTwoPiecesOfMemoryOrRowByRowNone) {
  const std::string a = unet_lora("a.safetensors");
  for (const LoraApplication application : {LoraApplication::kMerged, LoraApplication::kRowWise}) {
    application_ = application;
    latent(with({lora(a, 0.1)}));
    const WorkerReport before = engine_->report();
    for (int i = 2; i < 10; ++i) latent(with({lora(a, 0.1 * i)}));
    const WorkerReport after = engine_->report();
    EXPECT_EQ(after.files_read.at("adapters"), 1u);
    EXPECT_EQ(after.files_read.at("models"), before.files_read.at("models"));
    EXPECT_EQ(after.overlays.at("in_new_memory"), 2u) << "by turns";
    EXPECT_EQ(after.overlays.at("in_reused_memory"), 7u);
    if (application == LoraApplication::kRowWise) {
      EXPECT_EQ(after.memory.at("overlays"), before.memory.at("overlays"));
    }
  }
}

TEST_P(AdaptersEitherWay, OfDifferentRowsDoNotMix) {
  const std::string a = unet_lora("a.safetensors"), b = unet_lora("b.safetensors");
  const std::vector<std::vector<LoraRef>> sets = {
      {lora(a)}, {}, {lora(b, 0.5)}, {lora(a), lora(b, 0.5)}, {lora(a)}};
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

TEST_P(AdaptersEitherWay, OfStrengthZeroCostNothingAndChangeNothing) {
  const std::string a = unet_lora("a.safetensors");
  EXPECT_EQ(latent(with({lora(a, 0, 0)})), latent(with({})));
  EXPECT_EQ(overlays(), 0u);
}

TEST_F(Adapters, AnOverlayTakesTheMemoryOfTheWeightsThatItChangesAndGoesWithItsModel) {
  application_ = LoraApplication::kMerged;
  latent(with({lora(unet_lora("a.safetensors"))}));
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

TEST_P(AdaptersEitherWay, ModelAndTextEncoderHaveStrengthsOfTheirOwn) {
  const std::string text = text_lora("text.safetensors"), unet = unet_lora("unet.safetensors");
  const std::vector<float> pristine = encoding({});
  EXPECT_THAT(encoding({lora(text, 0, 1)}), Not(IsNear(pristine, 1e-3)));
  EXPECT_EQ(encoding({lora(text, 1, 0)}), pristine);
  EXPECT_EQ(encoding({lora(unet)}), pristine) << "it has nothing for a text encoder";
  EXPECT_EQ(latent(with({lora(text)})), latent(with({}))) << "nor this for a UNet";
}

TEST_P(AdaptersEitherWay, AFileThatIsReplacedIsReadAnew) {
  const std::string a = unet_lora("a.safetensors");
  const std::vector<float> before = latent(with({lora(a)}));
  std::filesystem::rename(unet_lora("b.safetensors"), a);
  EXPECT_THAT(latent(with({lora(a)})), Not(IsNear(before, 1e-3)));
}

TEST_P(AdaptersEitherWay, ThatDoNotFitAreRefusedByFileAndLayer) {
  support::SafetensorsWriter writer;
  const std::string layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  add_values(writer, "", layer + ".lora_up.weight", {320, 4});
  add_values(writer, "", layer + ".lora_down.weight", {4, 320});
  writer.write(dir_.file("large.safetensors"));
  const auto large = run(with({lora(dir_.file("large.safetensors"))}));
  EXPECT_THAT(large.status().to_string(),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("large.safetensors"), HasSubstr(layer),
                    HasSubstr("weight [32, 32]"), HasSubstr("320 x 320")));

  support::SafetensorsWriter stranger;
  add_values(stranger, "", "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight", {8, 4});
  add_values(stranger, "", "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", {4, 8});
  stranger.write(dir_.file("flux.safetensors"));
  EXPECT_THAT(run(with({lora(dir_.file("flux.safetensors"))})).status().to_string(),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("another family"),
                    HasSubstr("double_blocks_0")));
  EXPECT_EQ(run(with({lora(dir_.file("none.safetensors"))})).status().code(),
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
  request.loras = {lora(dir_.file("deep.safetensors"))};
  const auto reply = run(request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_THAT(std::get<EncodeTextReply>(*reply).warnings,
              ElementsAre(AllOf(HasSubstr("1 of its 2 layers"), HasSubstr("layers_23"))));
}

TEST_P(AdaptersEitherWay, LayersThatTheUnetLacksAreNamedInTheReplyToo) {
  support::SafetensorsWriter writer;
  for (const std::string layer :
       {"lora_unet_mid_block_attentions_0_transformer_blocks_0_ff_net_2",
        "lora_unet_mid_block_attentions_0_transformer_blocks_7_ff_net_2"}) {
    add_values(writer, "", layer + ".lora_up.weight", {64, 2});
    add_values(writer, "", layer + ".lora_down.weight", {2, 256});
  }
  writer.write(dir_.file("deep.safetensors"));
  const SampleReply reply = sampled(with({lora(dir_.file("deep.safetensors"))}));
  EXPECT_THAT(reply.warnings,
              ElementsAre(AllOf(HasSubstr("1 of its 2 layers"), HasSubstr("blocks_7"))));
}

}  // namespace
}  // namespace luna::worker
