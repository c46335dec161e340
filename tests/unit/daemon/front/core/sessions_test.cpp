#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::HasSubstr;

class Sessions : public CoreTest {
 protected:
  void start() {
    worker_ = add_worker(1);
    ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
    session_ = core().open_session("test");
  }
  Result<TensorRef> put(const Caller& owner, std::size_t bytes) {
    return core().put_tensor(owner, {DType::kU8, {static_cast<std::int64_t>(bytes)}},
                             bytes_from(std::string(bytes, 'x')));
  }
  static std::string id_of(const TensorRef& tensor) {
    return std::get<ResidentTensor>(tensor.place).id;
  }
  std::shared_ptr<FakeWorker> worker_;
  std::string session_;
};

TEST_F(Sessions, AKeptTensorComesBackWithItsBytes) {
  start();
  const Result<TensorRef> kept = put(caller("w", session_), 5);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->host_bytes(), nullptr);
  const Result<TensorRef> tensor = core().get_tensor(caller("w", session_), id_of(*kept));
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->host_bytes()->view().size(), 5u);
  EXPECT_EQ(core().status().resident_bytes, 5u);
}

TEST_F(Sessions, NobodyElseReachesATensor) {
  start();
  const std::string id = id_of(*put(caller("w", session_), 5));
  const std::string other = core().open_session("other");
  EXPECT_EQ(core().get_tensor(caller("w", other), id).status().code(),
            StatusCode::kPermissionDenied);
  EXPECT_EQ(core().get_tensor(caller("w"), id).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(core().get_tensor(caller("x", session_), id).status().code(),
            StatusCode::kPermissionDenied);
  EXPECT_EQ(core().free_tensors(caller("w", other), {id}).status().code(),
            StatusCode::kPermissionDenied);
}

TEST_F(Sessions, TheEndOfASessionFreesWhatItOwnsAndCancelsItsCalls) {
  start();
  const std::string id = id_of(*put(caller("w", session_), 5));
  auto call = submit(caller("w", session_), sample());
  auto other = submit(caller("w"), sample());
  core().close_session(session_);
  EXPECT_EQ(core().status().resident_tensors, 0u);
  EXPECT_EQ(core().status().resident_bytes, 0u);
  EXPECT_EQ(core().status().sessions, 0u);
  EXPECT_EQ(call->code(), StatusCode::kCancelled);
  EXPECT_FALSE(other->done());
  EXPECT_EQ(core().get_tensor(caller("w", session_), id).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(submit(caller("w", session_), sample())->code(), StatusCode::kNotFound);
}

TEST_F(Sessions, AQuotaBoundsWhatASessionKeeps) {
  config_.limits.resident_bytes_per_session = 10;
  start();
  const Result<TensorRef> first = put(caller("w", session_), 6);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(put(caller("w", session_), 5).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(put(caller("w", core().open_session("other")), 5).ok());
  EXPECT_EQ(*core().free_tensors(caller("w", session_), {id_of(*first)}), 6u);
  EXPECT_TRUE(put(caller("w", session_), 10).ok());
}

TEST_F(Sessions, FreeingIsAllOrNothing) {
  start();
  const std::string id = id_of(*put(caller("w", session_), 6));
  EXPECT_EQ(core().free_tensors(caller("w", session_), {id, "t-none"}).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(*core().free_tensors(caller("w", session_), {id, id}), 6u);
  EXPECT_EQ(core().free_tensors(caller("w", session_), {id}).status().code(),
            StatusCode::kNotFound);
}

TEST_F(Sessions, AnUploadMustFillItsShape) {
  start();
  const auto put4 = [&](BytesPtr bytes) {
    return core().put_tensor(caller("w", session_), {DType::kF32, {2}}, std::move(bytes)).status();
  };
  EXPECT_THAT(put4(bytes_from("1234")).message(), HasSubstr("needs 8 bytes, 4 came"));
  EXPECT_EQ(put4(nullptr).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(put(caller("w"), 4).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(Sessions, AQuotaBoundsWhatTheSessionsOfAWorkflowKeepTogether) {
  config_.limits.resident_bytes_per_workflow = 10;
  start();
  ASSERT_TRUE(register_checkpoint("v", "full.safetensors").ok());
  const std::string other = core().open_session("other");
  ASSERT_TRUE(put(caller("w", session_), 6).ok());
  const Status refused = put(caller("w", other), 5).status();
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("resident_bytes_per_workflow"));
  EXPECT_TRUE(put(caller("v", other), 5).ok());
  core().close_session(session_);
  EXPECT_TRUE(put(caller("w", other), 10).ok());
}

TEST_F(Sessions, WithKeepTheReplysTensorsStay) {
  start();
  SampleRequest request = sample();
  request.keep = true;
  auto call = submit(caller("w", session_), request);
  worker_->finish_all(sampled(4));
  ASSERT_TRUE(call->ok()) << call->message();
  const TensorRef& latent = std::get<SampleReply>(**call->result).latents.at(0);
  EXPECT_EQ(latent.spec.shape, (std::vector<std::int64_t>{1, 1, 1}));
  const Result<TensorRef> kept = core().get_tensor(caller("w", session_), id_of(latent));
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(floats_of(*kept)->at(0), 4);
}

TEST_F(Sessions, KeepNeedsASession) {
  start();
  SampleRequest request = sample();
  request.keep = true;
  EXPECT_EQ(submit(caller("w"), request)->code(), StatusCode::kFailedPrecondition);
}

TEST_F(Sessions, KeepBeyondTheQuotaKeepsNothingOfTheReply) {
  config_.limits.resident_bytes_per_session = 1000;
  start();
  SampleRequest request = sample();
  request.keep = true;
  auto call = submit(caller("w", session_), request);
  const std::vector<float> values(200);
  worker_->finish_all(Result<JobReply>(
      SampleReply{.latents = {tensor_of({1, 10, 20}, values), tensor_of({1, 10, 20}, values)}}));
  EXPECT_EQ(call->code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(core().status().resident_tensors, 0u);
}

TEST_F(Sessions, AKeptTensorIsReplacedByItsBytesInTheJob) {
  start();
  const std::vector<float> values(4 * 8 * 8, 2.5f);
  const TensorRef latent = tensor_of({1, 4, 8, 8}, values);
  const auto kept = core().put_tensor(caller("w", session_), latent.spec, latent.host_bytes());
  ASSERT_TRUE(kept.ok());
  TensorRef reference;
  reference.place = ResidentTensor{id_of(*kept)};
  auto call = submit(caller("w", session_), VaeDecodeRequest{.latent = reference});
  ASSERT_EQ(worker_->running.size(), 1u) << call->message();
  const auto& sent = std::get<VaeDecodeRequest>(worker_->running[0].first.request).latent;
  EXPECT_EQ(sent.spec, latent.spec);
  EXPECT_EQ(sent.host_bytes(), latent.host_bytes()) << "shared, not copied";
  ASSERT_TRUE(core().free_tensors(caller("w", session_), {id_of(*kept)}).ok());
  EXPECT_NE(sent.host_bytes(), nullptr) << "a call under way keeps what it uses";
}

TEST_F(Sessions, AKeptTensorMayBeReadInAnotherShapeOfAsManyElements) {
  start();
  const TensorRef latent = tensor_of({4, 8, 8}, std::vector<float>(4 * 8 * 8, 2.5f));
  const auto kept = core().put_tensor(caller("w", session_), latent.spec, latent.host_bytes());
  ASSERT_TRUE(kept.ok());
  TensorRef reference;
  reference.place = ResidentTensor{id_of(*kept)};
  reference.spec = {DType::kF32, {1, 4, 8, 8}};
  auto call = submit(caller("w", session_), VaeDecodeRequest{.latent = reference});
  ASSERT_EQ(worker_->running.size(), 1u) << call->message();
  const auto& sent = std::get<VaeDecodeRequest>(worker_->running[0].first.request).latent;
  EXPECT_EQ(sent.spec, reference.spec);
  EXPECT_EQ(sent.host_bytes(), latent.host_bytes());
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{1, 4, 8, 9}, {-1, -4, 8, 8}, {1, 4, 64}}) {
    reference.spec.shape = shape;
    EXPECT_EQ(submit(caller("w", session_), VaeDecodeRequest{.latent = reference})->code(),
              StatusCode::kInvalidArgument);
  }
}

TEST_F(Sessions, AReferenceThatIsUnknownOrOfAnotherShapeIsRefused) {
  start();
  TensorRef reference;
  reference.place = ResidentTensor{"t-none"};
  EXPECT_EQ(submit(caller("w", session_), VaeDecodeRequest{.latent = reference})->code(),
            StatusCode::kNotFound);
  reference.place = ResidentTensor{id_of(*put(caller("w", session_), 4))};
  reference.spec = {DType::kF32, {1, 4, 8, 8}};
  EXPECT_THAT(submit(caller("w", session_), VaeDecodeRequest{.latent = reference})->message(),
              HasSubstr("is u8[4], the call says f32[1,4,8,8]"));
}

TEST_F(Sessions, ThereAreOnlyAsManyAsTheLimitAllows) {
  config_.limits.sessions = 1;
  EXPECT_NE(core().open_session("a"), "");
  EXPECT_EQ(core().open_session("b"), "");
}

TEST_F(Sessions, IdsCannotBeGuessed) {
  const std::string a = core().open_session("a");
  EXPECT_EQ(a.size(), 34u);
  EXPECT_NE(a, core().open_session("a"));
}

TEST_F(Sessions, TheLast64EventsAreKept) {
  for (int i = 0; i < 100; ++i) core().add_event(std::to_string(i));
  const auto events = core().status().events;
  ASSERT_EQ(events.size(), 64u);
  EXPECT_EQ(events.front().text, "36");
  EXPECT_EQ(events.back().text, "99");
}

}  // namespace
}  // namespace luna::front
