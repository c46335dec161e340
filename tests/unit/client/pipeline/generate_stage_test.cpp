#include "client/pipeline/generate_stage.h"

#include <gtest/gtest.h>

#include "tests/unit/client/pipeline/fake_service.h"

namespace luna::client {
namespace {

GenerateRequest request_for(const std::string& prompt) {
  GenerateRequest request;
  request.models.checkpoint = ModelRef{"sd15.safetensors", Precision::kAuto};
  request.prompt = prompt;
  request.width = 32;
  request.height = 16;
  request.run.steps = 3;
  request.seed = 42;
  return request;
}

class GenerateStage : public testing::Test {
 protected:
  Result<GenerateResult> run(const GenerateRequest& request) {
    GenerateContext context;
    context.inference = &fake_;
    context.admin = &fake_;
    context.stop = stop_.get_token();
    context.on_progress = [this](const GenerateProgress& progress) { seen_.push_back(progress); };
    return run_generate(context, request);
  }

  std::stop_source stop_;
  std::vector<GenerateProgress> seen_;
  FakeService fake_;
};

using enum luna::client::GenerateStage;

TEST_F(GenerateStage, OnePromptBecomesOnePictureOfTheSizeAskedFor) {
  const auto result = run(request_for("a cat"));
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  ASSERT_EQ(result->pictures.size(), 1u);
  EXPECT_EQ(result->pictures[0].width, 32);
  EXPECT_EQ(result->pictures[0].height, 16);
  EXPECT_EQ(result->latents.spec.shape, (std::vector<std::int64_t>{1, 4, 2, 4}));
  EXPECT_EQ(fake_.sampled[0].second.rows[0].latent.spec.shape,
            (std::vector<std::int64_t>{4, 2, 4}));
  EXPECT_FALSE(fake_.sampled[0].second.rows[0].latent.host_bytes());
  EXPECT_TRUE(fake_.decoded[0].as_u8);
}

TEST_F(GenerateStage, RowsOfABatchAreSlicesOfOneNoiseDraw) {
  GenerateRequest request = request_for("a cat");
  request.batch = 3;
  const auto result = run(request);
  ASSERT_TRUE(result.ok());
  const auto& rows = fake_.sampled[0].second.rows;
  ASSERT_EQ(rows.size(), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(rows[i].noise.seed, 42u);
    EXPECT_EQ(rows[i].noise.batch_size, 3u);
    EXPECT_EQ(rows[i].noise.batch_index, i);
    EXPECT_EQ(result->pictures[i].pixels[0], i + 1);
  }
  EXPECT_EQ(result->batch_index, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(floats_of(result->latents)->back(), 3.0f);
}

TEST_F(GenerateStage, OnePictureOfABatchKeepsItsSliceOfTheNoise) {
  GenerateRequest request = request_for("a cat");
  request.batch = 3;
  request.batch_index = 2;
  const auto result = run(request);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(fake_.sampled[0].second.rows.size(), 1u);
  EXPECT_EQ(fake_.sampled[0].second.rows[0].noise.batch_size, 3u);
  EXPECT_EQ(fake_.sampled[0].second.rows[0].noise.batch_index, 2u);
  EXPECT_EQ(result->batch_index, (std::vector<int>{2}));
}

TEST_F(GenerateStage, LargeBatchesAreDecodedInOrder) {
  GenerateRequest request = request_for("a cat");
  request.batch = 20;
  const auto result = run(request);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->pictures.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(result->pictures[i].pixels[0], i + 1);
}

TEST_F(GenerateStage, BothPromptsReachEveryRow) {
  GenerateRequest request = request_for("a cat");
  request.negative = "blur";
  ASSERT_TRUE(run(request).ok());
  EXPECT_EQ(fake_.encoded.size(), 2u);
  const ConditioningSets& sets = fake_.sampled[0].second.rows[0].conditioning;
  EXPECT_EQ(floats_of(sets.at("positive")[0].cross_attn)->at(0), 5.0f);
  EXPECT_EQ(floats_of(sets.at("negative")[0].cross_attn)->at(0), 4.0f);
}

TEST_F(GenerateStage, EqualPromptsAreEncodedOnce) {
  GenerateRequest request = request_for("");
  ASSERT_TRUE(run(request).ok());
  EXPECT_EQ(fake_.encoded.size(), 1u);
  EXPECT_EQ(fake_.sampled[0].second.rows[0].conditioning.size(), 2u);
}

TEST_F(GenerateStage, SamplerCfgAndClipSkipTravelUnchanged) {
  GenerateRequest request = request_for("a cat");
  request.run.sampler = "dpmpp_2m";
  request.run.scheduler = "karras";
  request.run.denoise = 0.5;
  request.cfg = 4.5;
  request.clip_skip = 2;
  ASSERT_TRUE(run(request).ok());
  const SampleRequest& sample = fake_.sampled[0].second;
  EXPECT_EQ(sample.run.sampler, "dpmpp_2m");
  EXPECT_EQ(sample.run.scheduler, "karras");
  EXPECT_EQ(sample.run.denoise, 0.5);
  EXPECT_EQ(sample.rows[0].guidance.cfg, 4.5);
  EXPECT_EQ(fake_.encoded[0].second.clip_skip, 2);
}

TEST_F(GenerateStage, EqualModelSetsShareOneWorkflowAndOthersDoNot) {
  GenerateRequest request = request_for("a cat");
  ASSERT_TRUE(run(request).ok());
  ASSERT_TRUE(run(request).ok());
  request.models.slot_precision[Slot::kVae] = Precision::kF32;
  ASSERT_TRUE(run(request).ok());
  ASSERT_EQ(fake_.registered.size(), 3u);
  EXPECT_EQ(fake_.registered[0].first, fake_.registered[1].first);
  EXPECT_NE(fake_.registered[0].first, fake_.registered[2].first);
  EXPECT_EQ(fake_.sampled[0].first.workflow_id, fake_.registered[0].first);
}

TEST_F(GenerateStage, EverySlotThatNoFileFillsIsNamedBeforeAnythingRuns) {
  fake_.components = {{Slot::kUNet, "sdxl", "", 1, 1, ""}};
  const auto result = run(request_for("a cat"));
  EXPECT_EQ(result.status().code(), StatusCode::kFailedPrecondition);
  for (const char* slot : {"clip_l (a file below text_encoders/", "clip_g (", "vae (a file below"})
    EXPECT_NE(result.status().message().find(slot), std::string::npos) << slot;
  EXPECT_TRUE(fake_.encoded.empty());
}

TEST_F(GenerateStage, AGivenWorkflowIsNotRegisteredAgain) {
  GenerateRequest request = request_for("a cat");
  request.models = {};
  request.workflow_id = "mine";
  const auto result = run(request);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(fake_.registered.empty());
  EXPECT_EQ(fake_.encoded[0].first.workflow_id, "mine");
  EXPECT_EQ(result->workflow_id, "mine");
}

TEST_F(GenerateStage, AStartingPictureIsCutToAMultipleOfEightLikeComfy) {
  GenerateRequest request = request_for("a cat");
  request.width.reset();
  request.height.reset();
  request.image = Image(37, 20, 3);
  request.image->row(2)[2 * 3] = 99;  // the cut begins at (37 % 8) / 2 = 2, (20 % 8) / 2 = 2
  const auto result = run(request);
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  const TensorRef& pixels = fake_.vae_encoded[0].pixels;
  EXPECT_EQ(pixels.spec, (TensorSpec{DType::kU8, {1, 16, 32, 3}}));
  EXPECT_EQ(std::to_integer<int>(pixels.host_bytes()->view()[0]), 99);
  const auto& row = fake_.sampled[0].second.rows[0];
  EXPECT_EQ(row.latent.spec.shape, (std::vector<std::int64_t>{4, 2, 4}));
  EXPECT_EQ(floats_of(row.latent)->at(0), 0.5f);
}

TEST_F(GenerateStage, AStartingPictureIsResizedToAGivenSize) {
  GenerateRequest request = request_for("a cat");
  request.image = Image(100, 60, 4);
  request.mask = Image(100, 60, 1);
  std::ranges::fill(request.mask->pixels, 255);
  ASSERT_TRUE(run(request).ok());
  EXPECT_EQ(fake_.vae_encoded[0].pixels.spec.shape, (std::vector<std::int64_t>{1, 16, 32, 3}));
  const auto& mask = fake_.sampled[0].second.rows[0].noise_mask;
  ASSERT_TRUE(mask);
  EXPECT_EQ(mask->spec.shape, (std::vector<std::int64_t>{1, 16, 32}));
  EXPECT_EQ(floats_of(*mask)->at(0), 1.0f);
}

TEST_F(GenerateStage, AMaskWithoutResizingIsSentAsItIs) {
  GenerateRequest request = request_for("a cat");
  request.width.reset();
  request.height.reset();
  request.image = Image(37, 20, 3);
  request.mask = Image(37, 20, 3);
  ASSERT_TRUE(run(request).ok());
  EXPECT_EQ(fake_.sampled[0].second.rows[0].noise_mask->spec.shape,
            (std::vector<std::int64_t>{1, 20, 37}));
}

TEST_F(GenerateStage, ProgressNamesEveryStageAndEveryStep) {
  GenerateRequest request = request_for("a cat");
  request.batch = 2;
  ASSERT_TRUE(run(request).ok());
  std::vector<int> steps;
  for (const GenerateProgress& progress : seen_) {
    if (progress.stage == kSample && progress.step > 0) steps.push_back(progress.step);
  }
  EXPECT_EQ(steps, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(seen_.front().stage, kRegister);
  EXPECT_EQ(seen_.back().stage, kDone);
  EXPECT_EQ(seen_.back().pictures, 2);
  EXPECT_EQ(seen_.back().pictures_wanted, 2);
}

TEST_F(GenerateStage, WarningsOfTheEncoderAreHandedOnOnce) {
  GenerateRequest request = request_for("embedding:a");
  request.negative = "embedding:b";
  const auto result = run(request);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->warnings, (std::vector<std::string>{"no embedding"}));
}

TEST_F(GenerateStage, AFailureNamesItsStageAndKeepsItsCode) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"register", "registering the models: x"},
      {"encode_text:a cat", "encoding the positive prompt: x"},
      {"encode_text:blur", "encoding the negative prompt: x"},
      {"sample", "sampling: x"},
      {"vae_decode", "decoding: x"}};
  for (const auto& [call, message] : cases) {
    fake_.failures = {{call, Status(StatusCode::kResourceExhausted, "x")}};
    GenerateRequest request = request_for("a cat");
    request.negative = "blur";
    const auto result = run(request);
    ASSERT_FALSE(result.ok()) << call;
    EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(result.status().message(), message);
  }
}

TEST_F(GenerateStage, CancellingReachesTheServer) {
  fake_.sample_hangs = true;
  fake_.on_sample_begins = [this] { stop_.request_stop(); };
  const auto result = run(request_for("a cat"));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(fake_.cancelled, 1);
  EXPECT_TRUE(fake_.decoded.empty());
}

TEST_F(GenerateStage, AStopBeforeTheStartMakesNoCall) {
  stop_.request_stop();
  EXPECT_EQ(run(request_for("a cat")).status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(fake_.registered.empty());
  EXPECT_TRUE(fake_.encoded.empty());
}

TEST_F(GenerateStage, BadRequestsAreRefusedBeforeAnyCall) {
  std::vector<GenerateRequest> bad(6, request_for("a cat"));
  bad[0].batch = 0;
  bad[1].batch_index = 1;
  bad[2].clip_skip = -1;
  bad[3].mask = Image(8, 8, 1);
  bad[4].models = {};
  bad[5].image = Image();
  for (const GenerateRequest& request : bad) {
    EXPECT_EQ(run(request).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(fake_.registered.empty());
}

}  // namespace
}  // namespace luna::client
