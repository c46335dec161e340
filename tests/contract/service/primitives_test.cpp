// Every primitive goes to the worker and back, with what the caller said of itself.
#include <atomic>

#include "tests/contract/service/service_fixture.h"

namespace luna {
namespace {

using client::InferenceService;
using testing::HasSubstr;

TEST_F(ServiceTest, TokenizeRoundTrips) {
  start();
  const auto reply = call(&InferenceService::tokenize, TokenizeRequest{"a cat"});
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_EQ(reply->chunks.at("l")[0][0].id, 5);
  EXPECT_FLOAT_EQ(reply->chunks.at("l")[0][0].weight, 1.2f);
  EXPECT_EQ(reply->warnings.at(0), "no embedding 'x'");
}

TEST_F(ServiceTest, EncodeTextRoundTrips) {
  start();
  EncodeTextRequest request;
  request.text = "a dog";
  request.clip_skip = 2;
  request.loras = {{"style.safetensors", 0.5, 0.25}};
  const auto reply = call(&InferenceService::encode_text, request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_EQ(first(reply->cross_attn), 5);
  EXPECT_EQ(first(*reply->pooled), 2);
  const auto job = worker_->last("encode_text");
  ASSERT_TRUE(job);
  EXPECT_EQ(std::get<EncodeTextRequest>(job->request).loras.at(0).clip_strength, 0.25);
}

TEST_F(ServiceTest, VaeEncodeAndDecodeRoundTrip) {
  start();
  VaeEncodeRequest encode;
  encode.pixels = filled({1, 16, 16, 3}, 0.5f);
  const auto latent = call(&InferenceService::vae_encode, encode);
  ASSERT_TRUE(latent.ok()) << latent.status().to_string();
  EXPECT_EQ(first(latent->latent), 0.5f);

  VaeDecodeRequest decode;
  decode.latent = filled({1, 4, 2, 2}, 0.75f);
  const auto pixels = call(&InferenceService::vae_decode, decode);
  ASSERT_TRUE(pixels.ok()) << pixels.status().to_string();
  EXPECT_EQ(first(pixels->pixels), 0.75f);
}

TEST_F(ServiceTest, DenoiseRoundTrips) {
  start();
  DenoiseRequest request;
  for (const double sigma : {14.0, 3.0}) {
    DenoiseRow& row = request.rows.emplace_back();
    row.x = filled({4, 8, 8}, 1);
    row.sigma = sigma;
    row.conditioning.cross_attn = filled({1, 77, 8}, 0);
  }
  const auto reply = call(&InferenceService::denoise, request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_EQ(first(reply->denoised.at(0)), 14);
  EXPECT_EQ(first(reply->denoised.at(1)), 3);
}

TEST_F(ServiceTest, SampleReportsStepsInOrderAndThenTheResult) {
  start();
  SampleRequest request = one_row(3, 50);
  request.rows.push_back(request.rows[0]);
  request.rows[1].noise.seed = 9;
  Sampling sampling = sample(request);
  const auto reply = wait(sampling.future);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_EQ(first(reply->latents.at(0)), 3);
  EXPECT_EQ(first(reply->latents.at(1)), 9);
  EXPECT_EQ(reply->evaluations, 100u);
  EXPECT_EQ(reply->sigmas, (std::vector<float>{1, 0}));
  ASSERT_FALSE(sampling.progress->empty());
  int last = 0;
  for (const SampleProgress& progress : *sampling.progress) {
    EXPECT_GT(progress.step, last);
    EXPECT_EQ(progress.steps, 50);
    last = progress.step;
  }
  EXPECT_EQ(last, 50) << "the newest progress is never the one that is dropped";
}

TEST_F(ServiceTest, APreviewIsReplacedOnlyByANewerOne) {
  start();
  SampleRequest request = one_row(1, 100);
  request.previews.every_steps = 100;
  request.previews.max_edge = 64;
  Sampling sampling = sample(request);
  ASSERT_TRUE(wait(sampling.future).ok());
  ASSERT_FALSE(sampling.progress->empty());
  EXPECT_TRUE(sampling.progress->back().preview.has_value());
}

TEST_F(ServiceTest, TheCallersPriorityAndDeadlineReachTheJob) {
  start();
  client::CallOptions options = in("w");
  options.priority = Priority::kInteractive;
  options.deadline = Deadline::after(std::chrono::hours(1));
  ASSERT_TRUE(call(&InferenceService::tokenize, TokenizeRequest{"x"}, options).ok());
  const auto job = worker_->last("tokenize");
  ASSERT_TRUE(job);
  EXPECT_EQ(job->priority, Priority::kInteractive);
  EXPECT_FALSE(job->deadline.infinite());
  EXPECT_LT(job->deadline.left(), std::chrono::hours(1) + std::chrono::minutes(1));
  EXPECT_EQ(job->workflow, "w");
}

TEST_F(ServiceTest, ResultsThatAreKeptStayAndServeTheNextCall) {
  start();
  SampleRequest request = one_row(6);
  request.keep = true;
  Sampling sampling = sample(request);
  const auto reply = wait(sampling.future);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto* resident = std::get_if<ResidentTensor>(&reply->latents.at(0).place);
  ASSERT_NE(resident, nullptr);

  SampleRequest again = one_row(1);
  again.rows[0].latent = reply->latents[0];
  Sampling second = sample(again);
  const auto refined = wait(second.future);
  ASSERT_TRUE(refined.ok()) << refined.status().to_string();
  EXPECT_EQ(first(refined->latents.at(0)), 7);

  const auto bytes = client_->download("w", resident->id);
  ASSERT_TRUE(bytes.ok()) << bytes.status().to_string();
  EXPECT_EQ(first(*bytes), 6);
  EXPECT_EQ(*client_->free_tensors("w", {resident->id}), 4u * 8 * 8 * 4);
  EXPECT_EQ(client_->download("w", resident->id).status().code(), StatusCode::kNotFound);
}

TEST_F(ServiceTest, TwoHundredCallsAtOnceAreEachAnsweredWithTheirOwn) {
  config_.limits.queue_per_workflow = 256;
  start();
  std::vector<Sampling> calls;
  for (std::uint64_t seed = 0; seed < 200; ++seed) calls.push_back(sample(one_row(seed, 2)));
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto reply = wait(calls[seed].future);
    ASSERT_TRUE(reply.ok()) << seed << ": " << reply.status().to_string();
    EXPECT_EQ(first(reply->latents.at(0)), static_cast<float>(seed));
  }
}

TEST_F(ServiceTest, LargeTensorsAreUploadedAndLargeResultsFetched) {
  start();
  // 64 MiB in one tensor: more than one message may carry, so it goes up by itself.
  VaeEncodeRequest encode;
  encode.pixels.spec.dtype = DType::kU8;
  encode.pixels.spec.shape = {1, 4096, 4096, 4};
  encode.pixels.place = bytes_from(std::string(64 << 20, '\0'));
  const auto latent = call(&InferenceService::vae_encode, encode);
  ASSERT_TRUE(latent.ok()) << latent.status().to_string();
  EXPECT_TRUE(latent->latent.host_bytes());

  worker_->set_result_bytes(66 << 20);
  VaeDecodeRequest decode;
  decode.latent = filled({1, 4, 256, 256}, 0);
  const auto pixels = call(&InferenceService::vae_decode, decode);
  ASSERT_TRUE(pixels.ok()) << pixels.status().to_string();
  ASSERT_TRUE(pixels->pixels.host_bytes());
  EXPECT_EQ(pixels->pixels.host_bytes()->view().size(), pixels->pixels.spec.byte_size());
  EXPECT_EQ(pixels->pixels.host_bytes()->view().back(), std::byte{7});
  EXPECT_EQ(client_->status()->resident_tensors, 0u) << "what was uploaded and kept is freed again";
}

TEST_F(ServiceTest, AResultBeyondTheInlineLimitSaysHowToGetIt) {
  config_.limits.inline_bytes = 1 << 20;
  start();
  worker_->set_result_bytes(3 << 20);
  VaeDecodeRequest decode;
  decode.latent = filled({1, 4, 2, 2}, 0);
  const auto refused = call(&InferenceService::vae_decode, decode);
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(), HasSubstr("keep"));
  EXPECT_THAT(refused.status().message(), HasSubstr("Tensors.Download"));
  decode.keep = true;
  const auto kept = call(&InferenceService::vae_decode, decode);
  ASSERT_TRUE(kept.ok()) << kept.status().to_string();
  EXPECT_TRUE(std::holds_alternative<ResidentTensor>(kept->pixels.place));
}

}  // namespace
}  // namespace luna
