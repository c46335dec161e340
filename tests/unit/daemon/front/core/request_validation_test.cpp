#include "daemon/front/core/request_validation.h"

#include <cmath>
#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna::front {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TensorRef tensor(std::vector<std::int64_t> shape, DType dtype = DType::kF32) {
  TensorRef t;
  t.spec = {dtype, std::move(shape)};
  return t;
}

SampleRequest good_sample() {
  SampleRow row;
  row.latent = tensor({4, 8, 8});
  ConditioningEntry entry;
  entry.cross_attn = tensor({1, 77, 768});
  row.conditioning["positive"] = {entry};
  SampleRequest request;
  request.rows = {row};
  return request;
}

/// "ok", or the message of the refusal of a sample request that `spoil` has changed.
std::string spoilt(const std::function<void(SampleRequest&)>& spoil) {
  SampleRequest request = good_sample();
  spoil(request);
  const Status status = validate_request(request, Config::Limits{});
  EXPECT_TRUE(status.ok() || status.code() == StatusCode::kInvalidArgument);
  return status.ok() ? "ok" : status.message();
}

std::string refusal(const JobRequest& request) {
  return validate_request(request, Config::Limits{}).message();
}

TEST(RequestValidation, AGoodRequestPasses) {
  EXPECT_EQ(spoilt([](SampleRequest&) {}), "ok");
}

TEST(RequestValidation, RowsAreCounted) {
  EXPECT_THAT(spoilt([](auto& r) { r.rows.clear(); }), HasSubstr("1 to 64 rows"));
  EXPECT_THAT(spoilt([](auto& r) { r.rows.resize(65, r.rows[0]); }), HasSubstr("found 65"));
}

TEST(RequestValidation, AWrongShapeNamesTheFieldAndBothShapes) {
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].latent = tensor({1, 4, 8, 8}); }),
              testing::AllOf(HasSubstr("rows[0].latent"), HasSubstr("[C, h, w]"),
                             HasSubstr("f32[1,4,8,8]")));
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].latent = tensor({4, 8, 8}, DType::kI32); }),
              HasSubstr("floating"));
  EXPECT_THAT(
      spoilt([](auto& r) { r.rows[0].conditioning["positive"][0].cross_attn = tensor({77, 768}); }),
      HasSubstr("rows[0].conditioning.positive[0].cross_attn"));
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].noise_mask = tensor({2, 8, 8}); }),
              HasSubstr("noise_mask"));
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].noise.tensor = tensor({4, 8, 9}); }),
              HasSubstr("the latent's shape was expected"));
}

TEST(RequestValidation, AbsurdSizesAreRefusedWithoutOverflow) {
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{
           {4, huge, huge}, {huge, 8, 8}, {4, 0, 8}, {4, -8, 8}, {4, 16385, 8}}) {
    EXPECT_NE(spoilt([&](auto& r) { r.rows[0].latent = tensor(shape); }), "ok");
  }
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].latent = tensor({4096, 16384, 16384}); }),
              HasSubstr("larger than"));
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].noise.batch_size = 1u << 30; }),
              HasSubstr("batch_size"));
}

TEST(RequestValidation, TheRunIsChecked) {
  EXPECT_THAT(spoilt([](auto& r) { r.run.steps = 0; }), HasSubstr("1 to 10000"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.steps = 10001; }), HasSubstr("found 10001"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.denoise = 1.5; }), HasSubstr("run.denoise"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.denoise = NAN; }), HasSubstr("run.denoise"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.denoise = 1e-9; }), HasSubstr("more than 10000 steps"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.start_step = -1; }), HasSubstr("run.start_step"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.sampler = std::string(200, 'x'); }),
              HasSubstr("run.sampler"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.options["eta"] = INFINITY; }), HasSubstr("eta"));
}

TEST(RequestValidation, SigmasDescend) {
  EXPECT_EQ(spoilt([](auto& r) { r.run.sigmas = {2, 1, 1, 0}; }), "ok");
  EXPECT_THAT(spoilt([](auto& r) { r.run.sigmas = {1, 2}; }), HasSubstr("run.sigmas[1]"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.sigmas = {NAN, 1}; }), HasSubstr("run.sigmas[0]"));
  EXPECT_THAT(spoilt([](auto& r) { r.run.sigmas = {1}; }), HasSubstr("2 to"));
}

TEST(RequestValidation, NumbersOfRowsAreFinite) {
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].guidance.cfg = NAN; }), HasSubstr("guidance.cfg"));
  EXPECT_THAT(spoilt([](auto& r) { r.rows[0].loras = {{"x", INFINITY, 1}}; }),
              HasSubstr("model_strength"));
  EXPECT_THAT(
      spoilt([](auto& r) { r.rows[0].conditioning["positive"][0].area = {true, 2, 1, 0, 0}; }),
      HasSubstr("area"));
}

TEST(RequestValidation, PromptsTilesAndPicturesAreBounded) {
  EXPECT_THAT(refusal(TokenizeRequest{std::string(1 << 20, 'a')}),
              HasSubstr("at most 65536 bytes"));
  EncodeTextRequest text;
  text.clip_skip = -1;
  EXPECT_THAT(refusal(text), HasSubstr("clip_skip"));
  VaeEncodeRequest encode;
  encode.pixels = tensor({1, 64, 64, 2});
  EXPECT_THAT(refusal(encode), HasSubstr("[B, H, W, 3 or more]"));
  encode.pixels = tensor({1, 64, 64, 3});
  encode.tile = {512, 400};
  EXPECT_THAT(refusal(encode), HasSubstr("tile"));
  VaeDecodeRequest decode;
  decode.latent = tensor({65, 4, 8, 8});
  EXPECT_THAT(refusal(decode), HasSubstr("B of 1 to 64"));
}

TEST(RequestValidation, BytesMustFitTheirShapeAndTheLimitOfACall) {
  VaeDecodeRequest decode;
  decode.latent = tensor({1, 4, 8, 8});
  decode.latent.place = bytes_from("short");
  EXPECT_THAT(validate_places(decode, {}).message(), HasSubstr("needs 1024 bytes, 5 came"));
  Config::Limits small;
  small.inline_bytes = 1000;
  decode.latent.place = bytes_from(std::string(1024, 'x'));
  EXPECT_THAT(validate_places(decode, small).message(), HasSubstr("upload"));
}

TEST(RequestValidation, ATensorInARegionHasASoundSpecThatFitsIntoOne) {
  VaeDecodeRequest decode;
  decode.latent.spec = {DType::kF32, {1, 4, 4096, 4096}};
  decode.latent.place = SharedRegion{"r", 0};
  EXPECT_TRUE(validate_places(decode, {}).ok()) << "what an inline tensor may have is no limit";
  Config::Limits small;
  small.region_bytes_per_session = 1 << 20;
  EXPECT_EQ(validate_places(decode, small).code(), StatusCode::kInvalidArgument);
  decode.latent.spec.shape = {-1};
  EXPECT_EQ(validate_places(decode, {}).code(), StatusCode::kInvalidArgument);
}

TEST(RequestValidation, ACudaHandleThatCannotBeRightIsRefusedByName) {
  VaeDecodeRequest decode;
  decode.latent = tensor({1, 4, 8, 8});
  const auto with = [&](CudaHandle handle) {
    decode.latent.place = std::move(handle);
    return validate_places(decode, {});
  };
  const std::string handle(64, 'h');
  EXPECT_TRUE(with({"GPU-a", handle, 4096, 1024}).ok());
  EXPECT_TRUE(with({"GPU-a", handle, 0, 1024}).ok());
  EXPECT_THAT(
      with({"GPU-a", handle, 2000, 1024}).message(),
      HasSubstr("latent: 1024 bytes from offset 1024 do not lie within an allocation of 2000"));
  EXPECT_EQ(with({"GPU-a", handle, 4096, 1026}).code(), StatusCode::kInvalidArgument);
}

TEST(RequestValidation, ALeaseHasASizeAndAProofSixteenBytesOnAGpu) {
  EXPECT_TRUE(validate_request(LeaseCudaRequest{"GPU-a", 4096}, {}).ok());
  EXPECT_THAT(validate_request(LeaseCudaRequest{"GPU-a", 0}, {}).message(),
              HasSubstr("bytes: 1 to 4294967296 were expected, found 0"));
  EXPECT_THAT(validate_request(LeaseCudaRequest{"", 1}, {}).message(), HasSubstr("device_uuid"));
  const CudaHandle there{"GPU-a", std::string(64, 'h')};
  ProveCudaRequest proof;
  proof.memory.spec = {DType::kU8, {16}};
  proof.memory.place = there;
  EXPECT_TRUE(validate_request(proof, {}).ok());
  proof.memory.spec.shape = {17};
  EXPECT_EQ(validate_request(proof, {}).code(), StatusCode::kInvalidArgument);
  proof.memory.spec.shape = {16};
  proof.memory.place = std::monostate{};
  EXPECT_THAT(validate_request(proof, {}).message(), HasSubstr("elsewhere"));
}

TEST(RequestValidation, DenoiseChecksItsRows) {
  DenoiseRequest request;
  request.rows.resize(1);
  request.rows[0].x = tensor({4, 8, 8});
  request.rows[0].conditioning.cross_attn = tensor({1, 77, 768});
  request.rows[0].sigma = 1;
  EXPECT_TRUE(validate_request(request, {}).ok());
  request.rows[0].sigma = NAN;
  EXPECT_THAT(refusal(request), HasSubstr("rows[0].sigma"));
}

TEST(RequestValidation, WhatAClientMadeForOneEvaluationHasTheShapeOfItsRow) {
  DenoiseRequest request;
  request.rows.resize(1);
  request.rows[0].x = tensor({4, 8, 6});
  request.rows[0].conditioning.cross_attn = tensor({1, 77, 768});
  request.rows[0].extras = {{"y", tensor({1, 2816})}, {"c_concat", tensor({1, 5, 8, 6})}};
  EXPECT_TRUE(validate_request(request, {}).ok());
  request.rows[0].extras["c_concat"] = tensor({1, 5, 6, 8});
  EXPECT_THAT(refusal(request), AllOf(HasSubstr("rows[0].extras.c_concat"),
                                      HasSubstr("[1, c, 8, 6]"), HasSubstr("f32[1,5,6,8]")));
  request.rows[0].extras = {{"y", tensor({2, 2816})}};
  EXPECT_THAT(refusal(request), AllOf(HasSubstr("rows[0].extras.y"), HasSubstr("[1, width]")));
  request.rows[0].extras = {{"y", tensor({1, 2816}, DType::kI64)}};
  EXPECT_THAT(refusal(request), HasSubstr("floating"));
}

std::vector<ComponentInfo> sdxl_with(std::vector<Slot> slots) {
  std::vector<ComponentInfo> components = {{Slot::kUNet, "sdxl", "", 1, 1, ""}};
  for (const Slot slot : slots) components.push_back({slot, "other", "", 1, 1, ""});
  return components;
}

TEST(SlotsOfACall, AllThatAreMissingStandInOneError) {
  const Status none = check_slots(EncodeTextRequest{}, sdxl_with({}));
  EXPECT_EQ(none.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(none.message(),
              AllOf(HasSubstr("needs the slots clip_l (a file below text_encoders/"),
                    HasSubstr("clip_g (a file below text_encoders/"), HasSubstr("it has unet"),
                    HasSubstr("for pictures it also lacks vae (a file below vae/")));
  EXPECT_THAT(check_slots(SampleRequest{}, {}).message(),
              AllOf(HasSubstr("needs the slot unet"), HasSubstr("no models at all"),
                    HasSubstr("also lacks clip_l")));
}

TEST(SlotsOfACall, AnSdxlsPromptNeedsBothEncodersItsTokensOneOfThem) {
  const auto half = sdxl_with({Slot::kClipL, Slot::kVae});
  EXPECT_THAT(check_slots(EncodeTextRequest{}, half).message(),
              AllOf(HasSubstr("needs the slot clip_g"), Not(HasSubstr("also lacks"))));
  EXPECT_TRUE(check_slots(TokenizeRequest{}, half).ok());
  EXPECT_TRUE(check_slots(SampleRequest{}, half).ok());
  EXPECT_TRUE(check_slots(EncodeTextRequest{}, sdxl_with({Slot::kClipL, Slot::kClipG})).ok());
}

TEST(SlotsOfACall, APreviewModelWorksBesideTheUNetWhereverThatIs) {
  ModelSet models;
  models.slots[Slot::kUNet] = models.slots[Slot::kPreview] = {"p"};
  SampleRequest request;
  request.previews.every_steps = 1;
  EXPECT_THAT(slots_used(request, models), ElementsAre(Slot::kUNet));
  EXPECT_EQ(role_needed(LoadModelRequest{.slot = Slot::kPreview}), Role::kUnet);
}

TEST(SlotsOfACall, CallsAboutFilesNeedNone) {
  EXPECT_TRUE(check_slots(InspectModelRequest{}, {}).ok());
  EXPECT_TRUE(check_slots(LoadModelRequest{}, {}).ok());
}

}  // namespace
}  // namespace luna::front
