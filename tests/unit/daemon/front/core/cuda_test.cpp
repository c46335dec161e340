// GPU memory as the front sees it: which calls may name it, where they run, whose leases are whose.
#include <algorithm>

#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const std::string kHandle(64, 'h');

/// Assigned member by member: GCC 12 takes nested braces with vectors for uninitialised.
TensorRef on_gpu(DType dtype, std::vector<std::int64_t> shape, CudaHandle handle) {
  TensorRef tensor;
  tensor.spec.dtype = dtype;
  tensor.spec.shape = std::move(shape);
  tensor.place = std::move(handle);
  return tensor;
}

class CudaMemory : public CoreTest {
 protected:
  void start() {
    gpu_ = add_gpu(1, "GPU-a");
    ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
    session_ = core().open_session("test");
  }
  std::shared_ptr<FakeWorker> add_gpu(std::uint64_t id, const std::string& uuid,
                                      const std::string& pool = "default") {
    auto worker = add_worker(id, pool);
    WorkerReport report;
    report.device_uuid = uuid;
    core().worker_report(WorkerId{id}, report);
    return worker;
  }
  static VaeDecodeRequest decode(CudaHandle handle) {
    VaeDecodeRequest request;
    request.latent = on_gpu(DType::kF32, {1, 4, 8, 8}, std::move(handle));
    return request;
  }
  static CudaHandle at(const std::string& uuid, std::uint64_t offset = 0) {
    return {uuid, kHandle, 65536, offset};
  }
  static CudaHandle lease_at_worker(const std::string& uuid, const std::string& id) {
    return {uuid, std::string(64, 'o'), 1 << 20, 512, std::string(64, 'e'), id};
  }
  /// A reply whose pixels lie in the worker's outbox under its own name `id`.
  static JobReply in_outbox(const std::string& uuid, const std::string& id) {
    return VaeDecodeReply{on_gpu(DType::kF32, {1, 8, 8, 3}, lease_at_worker(uuid, id))};
  }
  static const CudaHandle& handle_of(const Outcome& outcome) {
    return std::get<CudaHandle>(std::get<VaeDecodeReply>(**outcome.result).pixels.place);
  }

  void prove(const std::string& uuid, FakeWorker& worker, const std::string& session) {
    const auto asked =
        submit(caller("", session), ProveCudaRequest{on_gpu(DType::kU8, {16}, at(uuid))});
    ASSERT_EQ(worker.running.size(), 1u) << asked->message();
    worker.finish(worker.running.front().first.id,
                  JobReply(ProveCudaReply{
                      "theirs", on_gpu(DType::kU8, {16}, lease_at_worker(uuid, "p")), "ours"}));
    ASSERT_TRUE(asked->ok()) << asked->message();
    const auto& proof = std::get<ProveCudaReply>(**asked->result);
    EXPECT_EQ(proof.nonce, "theirs");
    EXPECT_THAT(proof.expected, IsEmpty()) << "the client must read it in the memory";
    lease_of_proof_ = std::get<CudaHandle>(proof.memory.place).lease_id;
    const auto devices = core().confirm_cuda(caller("", session), lease_of_proof_, "ours");
    ASSERT_TRUE(devices.ok()) << devices.status().to_string();
    EXPECT_THAT(*devices, testing::Contains(uuid));
  }
  Caller cuda_caller() {
    Caller who = caller("w", session_);
    who.cuda_results = true;
    return who;
  }
  /// A lease of this session on the first GPU, by a decode that asks for it.
  std::string lease_by_decode(const std::string& worker_name) {
    const auto call = submit(cuda_caller(), decode(at("GPU-a")));
    EXPECT_EQ(gpu_->running.size(), 1u) << call->message();
    gpu_->finish(call->id, in_outbox("GPU-a", worker_name));
    EXPECT_TRUE(call->ok()) << call->message();
    return call->ok() ? handle_of(*call).lease_id : "";
  }

  std::shared_ptr<FakeWorker> gpu_;
  std::string session_, lease_of_proof_;
};

TEST_F(CudaMemory, AHandleIsRefusedUntilThePlaneIsProved) {
  start();
  const auto refused = submit(caller("w", session_), decode(at("GPU-a")));
  EXPECT_EQ(refused->code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused->message(),
              HasSubstr("latent: this session has not proved that memory of GPU-a"));
  prove("GPU-a", *gpu_, session_);
  submit(caller("w", session_), decode(at("GPU-a")));
  ASSERT_EQ(gpu_->running.size(), 1u);
  const Job& job = gpu_->running.front().first;
  EXPECT_EQ(job.session, session_);
  EXPECT_EQ(std::get<CudaHandle>(std::get<VaeDecodeRequest>(job.request).latent.place).handle,
            kHandle);
}

TEST_F(CudaMemory, AProofIsOfOneSessionAndOneDevice) {
  start();
  add_gpu(2, "GPU-b");
  prove("GPU-a", *gpu_, session_);
  EXPECT_EQ(submit(caller("w", session_), decode(at("GPU-b")))->code(),
            StatusCode::kFailedPrecondition);
  const std::string other = core().open_session("other");
  EXPECT_EQ(submit(caller("w", other), decode(at("GPU-a")))->code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(submit(caller("w"), decode(at("GPU-a")))->code(), StatusCode::kFailedPrecondition);
}

TEST_F(CudaMemory, AnotherNumberProvesNothingAndEndsTheQuestion) {
  start();
  const auto asked =
      submit(caller("", session_), ProveCudaRequest{on_gpu(DType::kU8, {16}, at("GPU-a"))});
  gpu_->finish(asked->id,
               JobReply(ProveCudaReply{
                   "theirs", on_gpu(DType::kU8, {16}, lease_at_worker("GPU-a", "7")), "ours"}));
  const std::string lease =
      std::get<CudaHandle>(std::get<ProveCudaReply>(**asked->result).memory.place).lease_id;
  const auto wrong = core().confirm_cuda(caller("", session_), lease, "something else");
  EXPECT_EQ(wrong.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(wrong.status().message(), HasSubstr("is not the one that was written"));
  EXPECT_EQ(core().confirm_cuda(caller("", session_), lease, "ours").status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(submit(caller("w", session_), decode(at("GPU-a")))->code(),
            StatusCode::kFailedPrecondition);
  EXPECT_THAT(gpu_->released, ElementsAre("7"));
}

TEST_F(CudaMemory, AProofEndsItsLease) {
  start();
  prove("GPU-a", *gpu_, session_);
  EXPECT_THAT(gpu_->released, ElementsAre("p"));
  EXPECT_EQ(core().free_tensors(caller("", session_), {lease_of_proof_}).status().code(),
            StatusCode::kNotFound);
}

TEST_F(CudaMemory, ACallGoesToAWorkerOfItsRoleOnItsDevice) {
  core().describe_pool({.name = "texts", .roles = {Role::kClip}, .max_workers = 4});
  core().describe_pool({.name = "images", .roles = {Role::kUnet, Role::kVae}, .max_workers = 4});
  gpu_ = add_gpu(1, "GPU-a", "texts");
  const auto there = add_gpu(2, "GPU-a", "images");
  const auto elsewhere = add_gpu(3, "GPU-b", "images");
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  session_ = core().open_session("test");
  prove("GPU-a", *gpu_, session_);
  for (int i = 0; i < 4; ++i) submit(caller("w", session_), decode(at("GPU-a")));
  EXPECT_EQ(there->running.size(), 4u);
  EXPECT_THAT(gpu_->running, IsEmpty());
  EXPECT_THAT(elsewhere->running, IsEmpty());
}

TEST_F(CudaMemory, ADeviceWithoutAWorkerIsRefusedAndThoseThatAreThereAreNamed) {
  start();
  const auto refused = submit(caller("", session_), LeaseCudaRequest{"GPU-x", 4096});
  EXPECT_EQ(refused->code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused->message(),
              HasSubstr("no worker is on GPU-x; the GPUs of workers: GPU-a (cpu)"));
}

TEST_F(CudaMemory, ADaemonWithoutAGpuSaysSo) {
  add_worker(1);
  session_ = core().open_session("test");
  EXPECT_THAT(submit(caller("", session_), LeaseCudaRequest{"GPU-x", 4096})->message(),
              HasSubstr("the GPUs of workers: none"));
}

TEST_F(CudaMemory, TheMemoryOfOneCallIsOnOneDevice) {
  start();
  prove("GPU-a", *gpu_, session_);
  SampleRequest request = sample();
  request.rows[0].latent.place = at("GPU-a");
  request.rows[0].conditioning["positive"][0].cross_attn =
      on_gpu(DType::kF32, {1, 2, 768}, at("GPU-b"));
  const auto refused = submit(caller("w", session_), request);
  EXPECT_EQ(refused->code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused->message(), HasSubstr("rows[0].latent is on GPU-a"));
  EXPECT_THAT(refused->message(), HasSubstr("cross_attn on GPU-b"));
}

TEST_F(CudaMemory, PyTorchsPrefixIsTakenOffAndItsExpandableSegmentsAreRefused) {
  start();
  prove("GPU-a", *gpu_, session_);
  CudaHandle handle = at("GPU-a");
  handle.handle = "\2c" + kHandle;
  submit(caller("w", session_), decode(handle));
  ASSERT_EQ(gpu_->running.size(), 1u);
  const Job& job = gpu_->running.front().first;
  EXPECT_EQ(std::get<CudaHandle>(std::get<VaeDecodeRequest>(job.request).latent.place).handle,
            kHandle);
  handle.handle = "\2e" + std::string(100, 's');
  const auto refused = submit(caller("w", session_), decode(handle));
  EXPECT_EQ(refused->code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused->message(), HasSubstr("latent: a handle of PyTorch's expandable segments"));
}

TEST_F(CudaMemory, ResultsStayOnTheGpuOnlyWhereTheCallAsks) {
  start();
  prove("GPU-a", *gpu_, session_);
  submit(caller("w", session_), decode(at("GPU-a")));
  submit(cuda_caller(), decode(at("GPU-a")));
  VaeDecodeRequest kept = decode(at("GPU-a"));
  kept.keep = true;
  submit(cuda_caller(), kept);
  ASSERT_EQ(gpu_->running.size(), 3u);
  EXPECT_FALSE(gpu_->running[0].first.cuda_results);
  EXPECT_TRUE(gpu_->running[1].first.cuda_results);
  EXPECT_FALSE(gpu_->running[2].first.cuda_results) << "what is kept has no place to be read";
}

TEST_F(CudaMemory, AskingForThemWithoutThePlaneIsRefusedRatherThanIgnored) {
  start();
  const auto refused = submit(cuda_caller(), sample());
  EXPECT_EQ(refused->code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused->message(), HasSubstr("luna-results"));
}

TEST_F(CudaMemory, ACallWithoutGpuMemoryThatAsksForThemGoesToAProvedDevice) {
  start();
  prove("GPU-a", *gpu_, session_);
  const auto other = add_gpu(2, "GPU-b");
  for (int i = 0; i < 4; ++i) submit(cuda_caller(), sample());
  EXPECT_EQ(gpu_->running.size(), 4u);
  EXPECT_THAT(other->running, IsEmpty());
}

TEST_F(CudaMemory, ALeaseHasANameOfTheFrontsAndIsFreedUnderTheWorkers) {
  start();
  prove("GPU-a", *gpu_, session_);
  gpu_->released.clear();
  const std::string lease = lease_by_decode("41");
  EXPECT_THAT(lease, testing::StartsWith("g-"));
  const std::string other = core().open_session("other");
  EXPECT_EQ(core().free_tensors(caller("w", other), {lease}).status().code(),
            StatusCode::kPermissionDenied);
  const auto freed = core().free_tensors(caller("w", session_), {lease});
  ASSERT_TRUE(freed.ok());
  EXPECT_EQ(*freed, 1u * 8 * 8 * 3 * 4);
  EXPECT_THAT(gpu_->released, ElementsAre("41"));
  EXPECT_EQ(core().free_tensors(caller("w", session_), {lease}).status().code(),
            StatusCode::kNotFound);
}

TEST_F(CudaMemory, TheEndOfASessionIsToldToEveryWorkerOnAGpu) {
  start();
  const auto cpu = add_worker(2);
  prove("GPU-a", *gpu_, session_);
  const std::string lease = lease_by_decode("41");
  core().close_session(session_);
  EXPECT_THAT(gpu_->ended_sessions, ElementsAre(session_));
  EXPECT_THAT(cpu->ended_sessions, IsEmpty());
  const std::string next = core().open_session("next");
  EXPECT_EQ(core().free_tensors(caller("w", next), {lease}).status().code(), StatusCode::kNotFound);
}

TEST_F(CudaMemory, ALeaseThatACallReadsIsFreedAfterTheCall) {
  start();
  prove("GPU-a", *gpu_, session_);
  gpu_->released.clear();
  const std::string lease = lease_by_decode("41");
  CudaHandle handle = lease_at_worker("GPU-a", lease);
  const auto reader = submit(caller("w", session_), decode(handle));
  ASSERT_TRUE(core().free_tensors(caller("w", session_), {lease}).ok());
  EXPECT_THAT(gpu_->released, IsEmpty());
  EXPECT_EQ(submit(caller("w", session_), decode(handle))->code(), StatusCode::kNotFound);
  gpu_->finish(reader->id, JobReply(VaeDecodeReply{}));
  EXPECT_THAT(gpu_->released, ElementsAre("41"));
}

TEST_F(CudaMemory, MemoryOfTheClientSurvivesAWorkersDeathAndTheCallRunsAgain) {
  start();
  prove("GPU-a", *gpu_, session_);
  const auto call = submit(caller("w", session_), decode(at("GPU-a")));
  gpu_->die();
  core().worker_gone(WorkerId{1}, killed());
  EXPECT_FALSE(call->done());
  const auto again = add_worker(1);
  ASSERT_EQ(again->running.size(), 1u);
  again->finish(call->id, JobReply(VaeDecodeReply{}));
  EXPECT_TRUE(call->ok());
}

TEST_F(CudaMemory, AResultInTheOutboxOfAWorkerThatDiedIsDataLoss) {
  start();
  prove("GPU-a", *gpu_, session_);
  const std::string lease = lease_by_decode("41");
  const CudaHandle handle = lease_at_worker("GPU-a", lease);
  const auto waiting = submit(caller("w", session_), decode(handle));
  gpu_->die();
  core().worker_gone(WorkerId{1}, killed());
  EXPECT_EQ(waiting->code(), StatusCode::kDataLoss) << waiting->message();
  EXPECT_THAT(waiting->message(), HasSubstr("ended with the worker that held the memory"));
  const auto again = add_worker(1);
  EXPECT_EQ(submit(caller("w", session_), decode(handle))->code(), StatusCode::kDataLoss);
  EXPECT_TRUE(core().free_tensors(caller("w", session_), {lease}).ok());
  EXPECT_THAT(again->released, IsEmpty()) << "its new life never had it";
}

TEST_F(CudaMemory, ADeviceThatIsDownForGoodAnswersWhatWaitsForIt) {
  start();
  add_worker(2);
  prove("GPU-a", *gpu_, session_);
  const auto call = submit(caller("w", session_), decode(at("GPU-a")));
  gpu_->die();
  core().worker_gone(WorkerId{1}, killed());
  core().worker_given_up(WorkerId{1});
  EXPECT_EQ(call->code(), StatusCode::kFailedPrecondition) << call->message();
}

TEST_F(CudaMemory, ALeaseThatComesTooLateGoesBack) {
  start();
  const auto asked = submit(caller("", session_), LeaseCudaRequest{"GPU-a", 4096});
  core().close_session(session_);
  EXPECT_EQ(asked->code(), StatusCode::kCancelled);
  const std::string second = core().open_session("again");
  gpu_->answer = [&](const Job& job) -> std::optional<Result<JobReply>> {
    core().close_session(second);  // while the worker answers
    return Result<JobReply>(JobReply(
        LeaseCudaReply{on_gpu(DType::kU8, {4096}, lease_at_worker("GPU-a", job.session))}));
  };
  submit(caller("", second), LeaseCudaRequest{"GPU-a", 4096});
  EXPECT_THAT(gpu_->released, testing::Contains(second));
}

TEST_F(CudaMemory, AWorkerWhoseMemoryAClientHoldsIsNotStoppedForBeingIdle) {
  start();
  prove("GPU-a", *gpu_, session_);
  const std::string lease = lease_by_decode("41");
  EXPECT_FALSE(core().retire_worker(WorkerId{1}));
  ASSERT_TRUE(core().free_tensors(caller("w", session_), {lease}).ok());
  EXPECT_TRUE(core().retire_worker(WorkerId{1}));
}

TEST_F(CudaMemory, ALeaseNeedsASessionAndNoProof) {
  start();
  EXPECT_EQ(submit(caller(""), LeaseCudaRequest{"GPU-a", 4096})->code(),
            StatusCode::kFailedPrecondition);
  const auto asked = submit(caller("", session_), LeaseCudaRequest{"GPU-a", 4096});
  gpu_->finish(asked->id,
               JobReply(LeaseCudaReply{on_gpu(DType::kU8, {4096}, lease_at_worker("GPU-a", "1"))}));
  ASSERT_TRUE(asked->ok()) << asked->message();
}

}  // namespace
}  // namespace luna::front
