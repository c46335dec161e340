// What the readers refuse, and the sentences they say it with.
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/wire/primitives_wire.h"
#include "common/wire/sampling_wire.h"
#include "common/wire/status_wire.h"

namespace luna::wire {
namespace {

using testing::HasSubstr;

v1::TensorRef tensor(std::initializer_list<std::int64_t> shape) {
  v1::TensorRef message;
  message.mutable_spec()->mutable_shape()->Add(shape.begin(), shape.end());
  return message;
}

v1::SampleRequest sample_of(int rows) {
  v1::SampleRequest request;
  for (int i = 0; i < rows; ++i) {
    v1::SampleRow* row = request.add_rows();
    *row->mutable_latent() = tensor({4, 8, 8});
    *(*row->mutable_conditioning())["positive"].add_entries()->mutable_cross_attn() =
        tensor({1, 77, 64});
  }
  return request;
}

template <class Message>
void expect_refused(Message message, const std::string& sentence) {
  const auto result = from_wire(message);
  ASSERT_FALSE(result.ok()) << "expected: " << sentence;
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(result.status().message(), HasSubstr(sentence));
}

TEST(Readers, NameTheFieldByItsPath) {
  v1::SampleRequest request = sample_of(4);
  (*request.mutable_rows(3)->mutable_conditioning())["positive"]
      .mutable_entries(0)
      ->clear_cross_attn();
  expect_refused(request, "rows[3].conditioning['positive'][0].cross_attn: missing");

  request = sample_of(2);
  *(*(*request.mutable_rows(1)->mutable_conditioning())["positive"]
         .mutable_entries(0)
         ->mutable_extras())["concat_mask"]
       .mutable_spec() = tensor({-1}).spec();
  expect_refused(request,
                 "rows[1].conditioning['positive'][0].extras['concat_mask'].spec: negative");
}

TEST(Readers, MoveInlineBytesInsteadOfCopyingThem) {
  v1::TensorRef message = tensor({1 << 20});
  message.set_inline_(std::string(4 << 20, 'a'));
  const void* where = message.inline_().data();
  const auto read = from_wire(message);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->host_bytes()->view().data(), where);
}

TEST(Readers, RefuseBytesThatDoNotFillTheShape) {
  v1::TensorRef message = tensor({2, 3});
  message.set_inline_("12345");
  expect_refused(message, "f32[2,3] needs 24 bytes, 5 came");
}

TEST(Readers, RefuseShapesThatCannotBe) {
  expect_refused(tensor({1, 1, 1, 1, 1, 1, 1, 1, 1}), "9 axes");
  expect_refused(tensor({1ll << 62, 1ll << 62}), "larger than the limit");
  v1::TensorRef message = tensor({1});
  message.mutable_spec()->set_dtype(static_cast<v1::DType>(99));
  expect_refused(message, "spec.dtype: unknown element type 99");
  expect_refused(v1::TensorRef(), "spec: missing");
}

TEST(Readers, TakeAResidentTensorWithoutSpec) {
  v1::TensorRef message;
  message.set_resident_id("t1");
  EXPECT_TRUE(from_wire(message).ok());
}

TEST(Readers, InlineBytesAreLimited) {
  v1::TensorRef message = tensor({4});
  message.set_inline_(std::string(16, 'a'));
  const FieldPath root(15);
  const auto refused = from_wire(message, root.field("pixels"));
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(), HasSubstr("pixels: 16 inline bytes, the limit is 15"));
  EXPECT_THAT(refused.status().message(), HasSubstr("Tensors.Upload"));
}

TEST(Readers, RefuseNumbersThatAreNone) {
  v1::SampleRequest request = sample_of(1);
  request.mutable_rows(0)->mutable_guidance()->set_cfg(std::numeric_limits<double>::quiet_NaN());
  expect_refused(request, "rows[0].guidance.cfg: expected a finite number, found nan");
  request = sample_of(1);
  request.mutable_run()->add_sigmas(std::numeric_limits<float>::infinity());
  expect_refused(request, "run.sigmas[0]: expected a finite number, found inf");
  request = sample_of(1);
  (*request.mutable_run()->mutable_options())["eta"] = std::numeric_limits<double>::infinity();
  expect_refused(request, "run.options['eta']");
  request = sample_of(1);
  request.mutable_run()->set_steps(4'000'000'000u);
  expect_refused(request, "run.steps: expected at most 2147483647");
}

TEST(Readers, RefuseNoiseOutsideItsBatch) {
  v1::SampleRequest request = sample_of(1);
  request.mutable_rows(0)->mutable_noise()->set_batch_size(2);
  request.mutable_rows(0)->mutable_noise()->set_batch_index(2);
  expect_refused(request, "rows[0].noise.batch_index: expected less than batch_size 2, found 2");
}

TEST(Readers, RefuseSlotsThatAreNone) {
  v1::ModelSet models;
  models.add_slots()->mutable_model()->set_file("a");
  expect_refused(models, "slots[0].slot: missing");
  models.mutable_slots(0)->set_slot(static_cast<v1::Slot>(77));
  expect_refused(models, "slots[0].slot: unknown slot 77");
  models.mutable_slots(0)->set_slot(v1::SLOT_VAE);
  *models.add_slots() = models.slots(0);
  expect_refused(models, "slots[1].slot: vae is named twice");
  models.clear_slots();
  (*models.mutable_slot_precision())["unett"] = v1::PRECISION_F16;
  expect_refused(models, "slot_precision['unett']: no such slot; there are unet");
}

TEST(Readers, FillInTheDefaultsThatTheProtoNames) {
  v1::SampleRequest request = sample_of(1);
  const auto read = from_wire(request);
  ASSERT_TRUE(read.ok()) << read.status().to_string();
  EXPECT_EQ(read->run.sampler, "euler");
  EXPECT_EQ(read->run.scheduler, "normal");
  EXPECT_EQ(read->run.steps, 20);
  EXPECT_EQ(read->run.denoise, 1.0);
  EXPECT_TRUE(read->run.force_full_denoise);
  EXPECT_EQ(read->previews.max_edge, 512);
  const SampleRow& row = read->rows[0];
  EXPECT_EQ(row.guidance.cfg, 7.0);
  EXPECT_EQ(row.noise.batch_size, 1u);
  EXPECT_TRUE(row.noise.add_noise);
  EXPECT_EQ(row.conditioning.at("positive")[0].strength, 1.0);
  EXPECT_EQ(row.conditioning.at("positive")[0].end_percent, 1.0);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(row.latent.place));

  v1::LoraRef lora;
  lora.set_file("style");
  lora.set_model_strength(0.5);
  EXPECT_EQ(from_wire(lora)->clip_strength, 0.5);

  v1::VaeDecodeRequest decode;
  *decode.mutable_latent() = tensor({1, 4, 8, 8});
  EXPECT_EQ(from_wire(decode)->tile.overlap, 64);
}

TEST(Readers, AReadMessageNeverCrashesOnAnEmptyOne) {
  v1::SampleRequest sample;
  EXPECT_TRUE(from_wire(sample).ok());
  v1::GetStatusResponse status;
  EXPECT_TRUE(from_wire(status).ok());
  expect_refused(v1::VaeEncodeRequest(), "pixels: missing");
  expect_refused(v1::VaeDecodeRequest(), "latent: missing");
  expect_refused(v1::EncodeTextResponse(), "cross_attn: missing");
  expect_refused(v1::LoadModelRequest(), "slot: missing");
  v1::DenoiseRequest denoise;
  denoise.add_rows();
  expect_refused(denoise, "rows[0].x: missing");
}

TEST(Readers, AQueueOfAnUnknownPriorityIsRefusedByItsPlace) {
  v1::GetStatusResponse status;
  status.add_queues()->set_priority("bulk");
  status.add_queues()->set_priority("urgent");
  expect_refused(status,
                 "queues[1].priority: expected interactive, normal or bulk, found 'urgent'");
}

TEST(Readers, APoolOfAnUnknownRoleIsRefusedByItsPlace) {
  v1::GetStatusResponse status;
  status.add_pools()->add_roles("clip");
  status.add_pools()->add_roles("paint");
  expect_refused(status, "pools[1].roles: expected clip, vae or unet, found 'paint'");
}

TEST(Writers, KeepFieldsThatTheTypesHaveBesidesTheDefaults) {
  WorkerInfo worker;
  worker.id = WorkerId{7};
  worker.report.jobs_failed = 3;
  worker.report.jobs_cancelled = 4;
  worker.report.seconds_in_queue = 1.5;
  worker.report.step_in_progress_ms = 250;
  worker.report.device = "cuda:0 NVIDIA H200";
  worker.report.models.emplace_back();
  v1::WorkerStatus message;
  to_wire(worker, &message);
  EXPECT_EQ(message.models(0).worker_id(), 7u);
  const auto read = from_wire(message);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->report.jobs_failed, 3u);
  EXPECT_EQ(read->report.jobs_cancelled, 4u);
  EXPECT_EQ(read->report.seconds_in_queue, 1.5);
  EXPECT_EQ(read->report.step_in_progress_ms, 250u);
  EXPECT_EQ(read->report.device, "cuda:0 NVIDIA H200");
}

}  // namespace
}  // namespace luna::wire
