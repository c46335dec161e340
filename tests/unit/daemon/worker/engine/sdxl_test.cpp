// A tiny SDXL in an engine: two text encoders, vector conditioning, sampling.
#include <gmock/gmock.h>

#include "daemon/worker/engine/vector_conditioning.h"
#include "daemon/worker/ops/timestep_embedding.h"
#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/engine_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Sdxl : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    static const support::TempDir folder;
    static const std::string path = [] {
      const std::string file = folder.file("sdxl.safetensors");
      support::write_tiny_sd15(file, support::TinySd15Options::sdxl());
      return file;
    }();
    for (const Slot slot : {Slot::kUNet, Slot::kVae, Slot::kClipL, Slot::kClipG})
      models_.slots[slot] = {path, Precision::kAuto};
  }
  EncodeTextReply encoded(const std::string& text, const std::vector<LoraRef>& loras = {}) {
    EncodeTextRequest request;
    request.text = text;
    request.loras = loras;
    auto reply = run(request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    return reply.ok() ? std::get<EncodeTextReply>(*std::move(reply)) : EncodeTextReply();
  }
  SampleRequest request() {
    SampleRequest request = sample_request(1);
    for (const char* sign : {"positive", "negative"}) {
      const EncodeTextReply text = encoded(sign);
      ConditioningEntry entry;
      entry.cross_attn = text.cross_attn;
      entry.pooled = text.pooled;
      request.rows[0].conditioning[sign] = {entry};
    }
    return request;
  }
  std::vector<float> latent(const SampleRequest& request) {
    const auto reply = run(request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    if (!reply.ok()) return {};
    return floats_of(std::get<SampleReply>(*reply).latents.at(0)).value();
  }
};

TEST_F(Sdxl, TextIsEncodedByBothEncodersAndPooledByTheSecond) {
  const EncodeTextReply reply = encoded("a red fox");
  EXPECT_THAT(reply.cross_attn.spec.shape, ElementsAre(1, 77, 64 + 128));
  ASSERT_TRUE(reply.pooled);
  EXPECT_THAT(reply.pooled->spec.shape, ElementsAre(1, 128));
  const auto forwards = engine_->report().forwards;
  EXPECT_EQ(forwards.at("clip_l").forwards, 1u);
  EXPECT_EQ(forwards.at("clip_g").forwards, 1u);
}

TEST_F(Sdxl, TokensComeForBothEncodersEachWithItsOwnPadding) {
  const auto reply = run(TokenizeRequest{"a fox"});
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const TokenChunks& chunks = std::get<TokenizeReply>(*reply).chunks;
  ASSERT_THAT(chunks, testing::SizeIs(2));
  EXPECT_EQ(chunks.at("l")[0].back().id, 49407);
  EXPECT_EQ(chunks.at("g")[0].back().id, 0);
  EncodeTextRequest given;
  given.tokens = chunks;
  const auto from_tokens = run(given);
  ASSERT_TRUE(from_tokens.ok()) << from_tokens.status().to_string();
  EXPECT_EQ(floats_of(std::get<EncodeTextReply>(*from_tokens).cross_attn).value(),
            floats_of(encoded("a fox").cross_attn).value());
}

TEST_F(Sdxl, ALatentDependsOnThePooledTextAndOnTheSizesThatAreSaid) {
  const SampleRequest usual = request();
  const std::vector<float> latent_usual = latent(usual);
  SampleRequest said = usual;
  auto& numbers = said.rows[0].conditioning["positive"][0].numbers;
  numbers = {{"width", 64},         {"height", 64}, {"target_width", 64},
             {"target_height", 64}, {"crop_w", 0},  {"crop_h", 0}};
  EXPECT_THAT(latent(said), IsNear(latent_usual, 1e-6)) << "what is said is what goes unsaid";
  numbers["width"] = 1024;
  EXPECT_THAT(latent(said), Not(IsNear(latent_usual, 1e-4)));
  SampleRequest other = usual;
  other.rows[0].conditioning["positive"][0].pooled =
      usual.rows[0].conditioning.at("negative")[0].pooled;
  EXPECT_THAT(latent(other), Not(IsNear(latent_usual, 1e-4)));
}

TEST_F(Sdxl, WithoutAPooledVectorOfTheRightWidthTheRowIsRefused) {
  SampleRequest without = request();
  without.rows[0].conditioning["positive"][0].pooled.reset();
  EXPECT_THAT(run(without).status().message(),
              HasSubstr("rows[0].conditioning.positive[0].pooled: a model of family sdxl needs the "
                        "pooled text [1, 128]"));
  SampleRequest narrow = request();
  narrow.rows[0].conditioning["negative"][0].pooled = tensor_of({1, 64}, std::vector<float>(64));
  EXPECT_THAT(run(narrow).status().message(), HasSubstr("expected [1, 128]"));
}

TEST_F(Sdxl, ALoraForTheFirstEncoderLeavesTheSecondAlone) {
  support::SafetensorsWriter writer;
  const auto add = [&](const std::string& layer, std::int64_t width) {
    writer.add(layer + ".lora_up.weight", {width, 1},
               support::uniform_values(layer + "u", static_cast<std::size_t>(width)));
    writer.add(layer + ".lora_down.weight", {1, width},
               support::uniform_values(layer + "d", static_cast<std::size_t>(width)));
  };
  const auto write = [&](const std::string& name) {
    writer.write(dir_.file(name));
    return LoraRef{dir_.file(name), 1, 1};
  };
  const auto half = [](const EncodeTextReply& reply, bool second) {
    const std::vector<float> all = floats_of(reply.cross_attn).value();
    std::vector<float> part;
    for (std::size_t i = 0; i < all.size(); ++i)
      if ((i % 192 >= 64) == second) part.push_back(all[i]);
    return part;
  };
  const EncodeTextReply plain = encoded("a fox");
  add("lora_te1_text_model_encoder_layers_0_self_attn_v_proj", 64);
  const EncodeTextReply first = encoded("a fox", {write("first.safetensors")});
  EXPECT_EQ(half(first, true), half(plain, true));
  EXPECT_THAT(half(first, false), Not(IsNear(half(plain, false), 1e-3)));
  writer = {};
  add("lora_te2_text_model_encoder_layers_0_self_attn_v_proj", 128);
  const EncodeTextReply other = encoded("a fox", {write("second.safetensors")});
  EXPECT_EQ(half(other, false), half(plain, false));
  EXPECT_THAT(half(other, true), Not(IsNear(half(plain, true), 1e-3)));
}

TEST(VectorConditioningParity, SizesAndScoresAreWhatComfyUiMakesOfThem) {
  const auto recorded =
      load_weights(
          {.path = LUNA_SOURCE_DIR "/tests/parity/fixtures/models_sdxl.safetensors", .rename = {}})
          .value();
  ConditioningEntry entry;
  entry.pooled = tensor_of({1, 128}, support::uniform_values("sdxl.pooled", 128));
  DenoiserTraits sdxl, refiner;
  sdxl.vector = VectorConditioning::kSdxl;
  sdxl.vector_width = 128 + 6 * 256;
  refiner.vector = VectorConditioning::kSdxlRefiner;
  refiner.vector_width = 128 + 5 * 256;
  const auto expect_same = [&](const std::string& name, const DenoiserTraits& traits,
                               bool negative) {
    const auto y = vector_conditioning(entry, "row", traits, {40, 56, negative});
    ASSERT_TRUE(y.ok()) << y.status().to_string();
    const std::int64_t stride = std::stoll(recorded->metadata().at("y." + name + ".stride"));
    const at::Tensor found = y->flatten().slice(0, 0, std::nullopt, stride);
    EXPECT_LE((found - *recorded->find("y." + name)).abs().max().item<double>(), 2e-4) << name;
  };
  expect_same("usual", sdxl, false);
  expect_same("refiner", refiner, false);
  expect_same("refiner_negative", refiner, true);
  entry.numbers = {{"aesthetic_score", 9}};
  expect_same("refiner_score", refiner, false);
  entry.numbers = {{"height", 1000}, {"width", 640},         {"crop_h", 7},
                   {"crop_w", 16},   {"target_height", 512}, {"target_width", 1024}};
  expect_same("sizes", sdxl, true);
}

}  // namespace
}  // namespace luna::worker
