#include <atomic>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/engine_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;
using support::largest_difference;
using testing::AllOf;
using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<float> latent_of(const Result<JobReply>& reply, std::size_t row = 0) {
  EXPECT_TRUE(reply.ok()) << reply.status().to_string();
  if (!reply.ok()) return {};
  return floats_of(std::get<SampleReply>(*reply).latents.at(row)).value();
}

TEST_F(EngineTest, EightDifferentJobsAtOnceNeedFewerThanHalfTheForwardsAndEqualTheirSoloResults) {
  std::vector<SampleRequest> requests;
  const std::vector<std::string> samplers = {"euler", "dpmpp_2m", "euler_ancestral", "heun",
                                             "ddim",  "lcm",      "dpmpp_2m_sde",    "euler"};
  for (std::size_t i = 0; i < samplers.size(); ++i) {
    requests.push_back(sample_request(100 + i, samplers[i], 6 + static_cast<int>(i % 3),
                                      i == 3 ? 1.0 : 3.0 + 0.5 * static_cast<double>(i)));
  }
  requests[5].rows[0].conditioning["positive"] = {entry("long prompt", 154)};
  std::vector<std::vector<float>> solo;
  for (const SampleRequest& request : requests) solo.push_back(latent_of(run(request)));
  const std::uint64_t forwards_in_turn = unet_forwards();

  // Held at its first step by the first job's observer, the device finds all eight when it goes on.
  std::vector<Outcome> outcomes(requests.size());
  std::mutex gate;
  std::unique_lock closed(gate);
  outcomes[0].on_progress = [&](const SampleProgress&) { std::lock_guard wait(gate); };
  for (std::size_t i = 0; i < requests.size(); ++i)
    engine_->run(job(requests[i]), outcomes[i].events());
  closed.unlock();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_THAT(latent_of(outcomes[i].wait()), IsNear(solo[i], 1e-4)) << samplers[i];
  }
  EXPECT_LT((unet_forwards() - forwards_in_turn) * 2, forwards_in_turn);
  EXPECT_THAT(engine_->report().forwards.at("unet").batch_sizes.rbegin()->first, Gt(8));
}

TEST_F(EngineTest, RowsOfOneCallAreIndependentOfEachOther) {
  SampleRequest both = sample_request(1);
  both.rows.push_back(sample_request(2, "euler", 4, 2.0).rows[0]);
  const auto reply = run(both);
  EXPECT_THAT(latent_of(reply, 0), IsNear(latent_of(run(sample_request(1))), 1e-4));
  EXPECT_THAT(latent_of(reply, 1),
              IsNear(latent_of(run(sample_request(2, "euler", 4, 2.0))), 1e-4));
  EXPECT_EQ(std::get<SampleReply>(*reply).evaluations, 16u);
  EXPECT_THAT(std::get<SampleReply>(*reply).sigmas, SizeIs(5));
}

TEST_F(EngineTest, ProgressNamesStepsSigmaAndTheRowsOfTheForward) {
  SampleRequest request = sample_request(1);
  request.previews = {2, 16};
  Outcome outcome;
  engine_->run(job(request), outcome.events());
  ASSERT_TRUE(outcome.wait().ok());
  const auto progress = outcome.progress();
  ASSERT_THAT(progress, SizeIs(4));
  EXPECT_EQ(progress[0].step, 1);
  EXPECT_EQ(progress[0].steps, 4);
  EXPECT_NEAR(progress[0].sigma, 14.6146, 1e-3);
  EXPECT_EQ(progress[0].rows_in_batch, 2);
  EXPECT_FALSE(progress[0].preview);
  ASSERT_TRUE(progress[1].preview);
  EXPECT_EQ(progress[1].preview->spec.to_string(), "u8[1,16,16,3]");
}

TEST_F(EngineTest, CancelActsBetweenEvaluations) {
  Outcome outcome;
  const Job endless = job(sample_request(1, "euler", 10000));
  engine_->run(endless, outcome.events());
  outcome.wait_for_progress(2);
  engine_->cancel(endless.id);
  EXPECT_EQ(outcome.wait().status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(run(sample_request(1)).ok());
  EXPECT_EQ(engine_->report().jobs_cancelled, 1u);
}

TEST_F(EngineTest, ADeadlineEndsARunningJobAndOneInThePastNeverBegins) {
  ASSERT_TRUE(run(sample_request(1)).ok());
  Job endless = job(sample_request(1, "euler", 10000));
  endless.deadline = Deadline::after(std::chrono::milliseconds(100));
  EXPECT_EQ(run(endless).status().code(), StatusCode::kDeadlineExceeded);
  const std::uint64_t forwards = unet_forwards();
  Job late = job(sample_request(1));
  late.deadline = Deadline::after(std::chrono::nanoseconds(0));
  EXPECT_EQ(run(late).status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(unet_forwards(), forwards);
}

TEST_F(EngineTest, TextToPixelsAndBack) {
  EncodeTextRequest prompt;
  prompt.text = "a (red:1.2) fox";
  const auto encoded = run(prompt);
  ASSERT_TRUE(encoded.ok()) << encoded.status().to_string();
  const auto& text = std::get<EncodeTextReply>(*encoded);
  EXPECT_EQ(text.cross_attn.spec.to_string(), "f32[1,77,64]");
  SampleRequest request = sample_request(5);
  request.rows[0].conditioning["positive"][0].cross_attn = text.cross_attn;
  const auto sampled = run(request);
  TensorRef latent = std::get<SampleReply>(*sampled).latents.at(0);
  latent.spec.shape.insert(latent.spec.shape.begin(), 1);
  const auto decoded = run(VaeDecodeRequest{latent, {}, true, false});
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
  const TensorRef& pixels = std::get<VaeDecodeReply>(*decoded).pixels;
  EXPECT_EQ(pixels.spec.to_string(), "u8[1,64,64,3]");
  const auto back = run(VaeEncodeRequest{pixels, {}, false});
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(std::get<VaeEncodeReply>(*back).latent.spec.to_string(), "f32[1,4,8,8]");
  const auto forwards = engine_->report().forwards;
  EXPECT_EQ(forwards.at("clip_l").forwards, 1u);
  EXPECT_EQ(forwards.at("vae_decode").forwards, 1u);
  EXPECT_EQ(forwards.at("vae_encode").forwards, 1u);
}

TEST_F(EngineTest, TilesAreSeparateItemsOfTheDevice) {
  const TensorRef latent = tensor_of({1, 4, 16, 16}, support::uniform_values("latent", 1024));
  const auto tiled = run(VaeDecodeRequest{latent, {64, 16}, false, false});
  ASSERT_TRUE(tiled.ok()) << tiled.status().to_string();
  EXPECT_EQ(std::get<VaeDecodeReply>(*tiled).pixels.spec.to_string(), "f32[1,128,128,3]");
  EXPECT_THAT(engine_->report().forwards.at("vae_decode").forwards, Gt(9u));
}

TEST_F(EngineTest, DenoiseEvaluatesRowsOfDifferentShapeAndSigma) {
  DenoiseRequest request;
  for (std::int64_t size : {8, 8, 16}) {
    DenoiseRow row;
    row.x = tensor_of({4, size, size},
                      support::uniform_values("x", static_cast<std::size_t>(4 * size * size)));
    row.sigma = 2.5;
    row.conditioning = entry("positive");
    request.rows.push_back(row);
  }
  request.rows[1].sigma = 0.5;
  const auto reply = run(request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_EQ(std::get<DenoiseReply>(*reply).denoised.at(2).spec.to_string(), "f32[4,16,16]");
  EXPECT_EQ(engine_->report().forwards.at("unet").batch_sizes,
            (std::map<int, std::uint64_t>{{1, 1}, {2, 1}}));
}

TEST_F(EngineTest, OutsideOfAMaskTheLatentStays) {
  SampleRequest request = sample_request(3);
  const std::vector<float> known = support::uniform_values("known", 4 * 64);
  request.rows[0].latent = tensor_of({4, 8, 8}, known);
  std::vector<float> mask(64 * 64, 0.0f);
  std::fill(mask.begin(), mask.begin() + 32 * 64, 1.0f);  // the upper half is repainted
  request.rows[0].noise_mask = tensor_of({64, 64}, mask);
  const std::vector<float> latent = latent_of(run(request));
  ASSERT_THAT(latent, SizeIs(256));
  for (int row = 5; row < 8; ++row)
    EXPECT_NEAR(latent[static_cast<std::size_t>(row * 8)], known[static_cast<std::size_t>(row * 8)],
                1e-4);
  EXPECT_GT(std::abs(latent[0] - known[0]), 1e-3);
}

TEST_F(EngineTest, SeveralEntriesAreAveragedByStrengthAndActInTheirRange) {
  SampleRequest plain = sample_request(1);
  SampleRequest doubled = plain;
  auto& positive = doubled.rows[0].conditioning["positive"];
  positive.push_back(positive[0]);
  positive[1].strength = 0.5;
  EXPECT_THAT(latent_of(run(doubled)), IsNear(latent_of(run(plain)), 1e-4));

  SampleRequest late = plain;
  late.rows[0].conditioning["positive"].push_back(entry("other"));
  late.rows[0].conditioning["positive"][1].start_percent = 0.999;
  const auto reply = run(late);
  EXPECT_EQ(std::get<SampleReply>(*reply).evaluations,
            9u);  // only the last step sees the third entry
}

TEST_F(EngineTest, ZeroDenoiseGivesTheLatentBack) {
  SampleRequest request = sample_request(1);
  request.run.denoise = 0;
  const std::vector<float> known = support::uniform_values("known", 4 * 64);
  request.rows[0].latent = tensor_of({4, 8, 8}, known);
  EXPECT_LE(largest_difference(latent_of(run(request)), known), 1e-6);
  EXPECT_EQ(unet_forwards(), 0u);
}

TEST_F(EngineTest, BadRequestsAreRefusedNamingTheField) {
  const auto refused = [&](SampleRequest request, StatusCode code, const std::string& text) {
    const Status status = run(std::move(request)).status();
    EXPECT_EQ(status.code(), code) << status.to_string();
    EXPECT_THAT(status.message(), HasSubstr(text));
  };
  SampleRequest request = sample_request(1);
  request.rows[0].latent.spec.shape = {5, 8, 8};
  refused(request, StatusCode::kInvalidArgument, "rows[0].latent: expected [4, h, w]");
  request = sample_request(1);
  request.rows[0].latent.spec.shape = {4, 100000, 100000};
  refused(request, StatusCode::kInvalidArgument, "rows[0].latent");
  request = sample_request(1);
  request.rows[0].latent = tensor_of({4, 8, 8}, std::vector<float>(256, std::nanf("")));
  refused(request, StatusCode::kInvalidArgument, "finite");
  request = sample_request(1);
  request.rows.push_back(request.rows[0]);
  request.rows[1].latent.spec.shape = {4, 8, 16};
  refused(request, StatusCode::kInvalidArgument, "rows[1].latent: expected rows[0]'s shape");
  request = sample_request(1);
  request.rows[0].conditioning["positive"][0].cross_attn.spec = {DType::kF32, {1, 77, 768}};
  request.rows[0].conditioning["positive"][0].cross_attn.place = std::monostate();
  refused(request, StatusCode::kInvalidArgument,
          "cross_attn: expected [1, 1..16384, 64], found f32[1,77,768]");
  refused(sample_request(1, "eular"), StatusCode::kInvalidArgument, "eular");
  request = sample_request(1);
  request.rows[0].conditioning.erase("negative");
  refused(request, StatusCode::kInvalidArgument, "negative");
  request = sample_request(1);
  request.rows[0].conditioning["positive"][0].area = ConditioningArea{};
  refused(request, StatusCode::kInvalidArgument, "positive[0].area");
  request = sample_request(1);
  request.rows[0].loras.push_back({"x.safetensors"});
  refused(request, StatusCode::kNotFound, "x.safetensors");
  request = sample_request(1);
  request.rows[0].latent.place = ResidentTensor{"t1"};
  refused(request, StatusCode::kFailedPrecondition, "resident");
  refused({}, StatusCode::kInvalidArgument, "rows");
  EXPECT_EQ(unet_forwards(), 0u);
}

TEST_F(EngineTest, NonFinitePredictionsFailTheirJobAloneNamingStepAndSigma) {
  SampleRequest bad = sample_request(1);
  // The largest f32 passes the check of the input and overflows inside the model.
  std::vector<float> huge(4 * 64, std::numeric_limits<float>::max() / 100);
  bad.rows[0].noise.tensor = tensor_of({4, 8, 8}, huge);
  Outcome good;
  engine_->run(job(sample_request(2)), good.events());
  const Status status = run(bad).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.to_string();
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("rows[0]"), HasSubstr("step 1 of 4"), HasSubstr("sigma 14.6")));
  EXPECT_TRUE(good.wait().ok());
}

TEST_F(EngineTest, AMissingSlotOrFileFailsTheCallThatNeedsIt) {
  Job no_unet = job(sample_request(1));
  no_unet.models.slots.erase(Slot::kUNet);
  const Status missing = run(no_unet).status();
  EXPECT_EQ(missing.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(missing.message(), HasSubstr("unet"));
  Job no_file = job(sample_request(1));
  no_file.models.slots[Slot::kUNet].path = dir_.file("absent.safetensors");
  EXPECT_EQ(run(no_file).status().code(), StatusCode::kNotFound);
  Job lying = job(sample_request(1));
  lying.models.slots[Slot::kUNet].path =
      dir_.write("lying.safetensors", support::raw_safetensors("{\"a\":1}", "x"));
  EXPECT_FALSE(run(lying).ok());
  EXPECT_TRUE(run(sample_request(1)).ok());
}

TEST_F(EngineTest, TokenizeFindsEmbeddingsInTheFoldersAndNamesThoseThatAreAbsent) {
  support::SafetensorsWriter writer;
  writer.add("emb_params", {2, 64}, support::uniform_values("vectors", 128));
  writer.write(dir_.file("style.safetensors"));
  const auto reply =
      run(TokenizeRequest{"fox embedding:style embedding:absent embedding:../escape"});
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto& tokens = std::get<TokenizeReply>(*reply);
  ASSERT_THAT(tokens.chunks.at("l"), SizeIs(1));
  EXPECT_EQ(tokens.chunks.at("l")[0].size(), 77u);
  EXPECT_THAT(tokens.chunks.at("l")[0][2].embedding, SizeIs(64));
  EXPECT_THAT(tokens.chunks.at("l")[0][3].embedding, SizeIs(64));
  EXPECT_THAT(tokens.warnings, SizeIs(2));
}

TEST_F(EngineTest, ModelsAreInspectedLoadedSharedAndUnloaded) {
  const auto inspected = run(InspectModelRequest{checkpoint()});
  ASSERT_TRUE(inspected.ok()) << inspected.status().to_string();
  EXPECT_THAT(std::get<InspectModelReply>(*inspected).components, SizeIs(3));

  support::TinySd15Options options = tiny_options();
  options.unet_salt = "another unet";
  const std::string second = dir_.file("second.safetensors");
  support::write_tiny_sd15(second, options);
  for (const std::string& path : {checkpoint(), second}) {
    for (Slot slot : {Slot::kUNet, Slot::kVae}) {
      const auto loaded = run(LoadModelRequest{slot, {path, Precision::kAuto}});
      ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
      EXPECT_FALSE(std::get<LoadModelReply>(*loaded).model.info.content_hash.empty());
    }
  }
  EXPECT_THAT(engine_->report().models, SizeIs(3));  // two UNets and one VAE
  const auto unloaded = run(UnloadModelRequest{second});
  EXPECT_GT(std::get<UnloadModelReply>(*unloaded).freed_bytes, 0u);
  EXPECT_THAT(engine_->report().models, SizeIs(1));
}

TEST_F(EngineTest, AFullQueueAndANumberInUseAreRefused) {
  settings_.max_queued_jobs = 1;
  open(settings_);
  Outcome running;
  const Job endless = job(sample_request(1, "euler", 10000));
  engine_->run(endless, running.events());
  EXPECT_EQ(run(TokenizeRequest{"x"}).status().code(), StatusCode::kResourceExhausted);
  engine_->cancel(endless.id);
  EXPECT_EQ(running.wait().status().code(), StatusCode::kCancelled);

  settings_.max_queued_jobs = 8;
  open(settings_);
  Outcome again;
  engine_->run(endless, again.events());
  EXPECT_EQ(run(endless).status().code(), StatusCode::kAlreadyExists);
  engine_->cancel(endless.id);
  EXPECT_EQ(again.wait().status().code(), StatusCode::kCancelled);
}

TEST_F(EngineTest, DrainingFinishesWhatRunsAndRefusesWhatComes) {
  Outcome running;
  engine_->run(job(sample_request(1, "euler", 20)), running.events());
  Outcome idle;
  const JobEvents idle_events = idle.events();
  engine_->drain([&] { idle_events.on_done(JobReply(UnloadModelReply{})); });
  EXPECT_EQ(run(sample_request(2)).status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(idle.wait().ok());
  EXPECT_TRUE(running.wait().ok());
}

TEST_F(EngineTest, ClosingTheEngineAnswersEveryJob) {
  Outcome running;
  engine_->run(job(sample_request(1, "euler", 10000)), running.events());
  running.wait_for_progress(1);
  engine_.reset();
  EXPECT_EQ(running.wait().status().code(), StatusCode::kUnavailable);
}

TEST(EngineOpen, SaysWhatIsMissing) {
  WorkerSettings settings;
  settings.clip_vocabulary = "/nowhere/merges.txt";
  EXPECT_THAT(Engine::open(settings).status().message(), HasSubstr("/nowhere/merges.txt"));
  settings.device = "tpu:0";
  EXPECT_THAT(Engine::open(settings).status().message(), HasSubstr("tpu:0"));
}

}  // namespace
}  // namespace luna::worker
