// Sessions, cancellation, deadlines, refusals, and the end of the daemon.
#include <sys/stat.h>

#include "tests/contract/service/service_fixture.h"

namespace luna {
namespace {

using client::InferenceService;
using support::wait_until;
using testing::HasSubstr;

TEST_F(ServiceTest, CancelReachesTheWorkerAndAnswersTheCall) {
  start();
  worker_->hold_samples();
  Sampling sampling = sample(one_row(1));
  ASSERT_TRUE(wait_until([&] { return worker_->held() == 1; }));
  sampling.handle->cancel();
  EXPECT_EQ(wait(sampling.future).status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(wait_until([&] { return worker_->cancelled() == 1; }));
  sampling.handle->cancel();  // harmless
}

TEST_F(ServiceTest, ADeadlineInThePastIsRefusedWithASentence) {
  start();
  client::CallOptions options = in("w");
  options.deadline = Deadline::after(std::chrono::seconds(-1));
  const auto reply = call(&InferenceService::tokenize, TokenizeRequest{"x"}, options);
  EXPECT_EQ(reply.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(reply.status().message(), HasSubstr("deadline"));
}

TEST_F(ServiceTest, ADeadlineThatPassesCancelsTheJob) {
  start();
  worker_->hold_samples();
  client::CallOptions options = in("w");
  options.deadline = Deadline::after(std::chrono::milliseconds(200));
  Sampling sampling = sample(one_row(1), nullptr, options);
  const auto reply = wait(sampling.future);
  EXPECT_EQ(reply.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(reply.status().message(), HasSubstr("deadline"));
  EXPECT_TRUE(wait_until([&] { return core_->status().jobs.running == 0; }));
}

TEST_F(ServiceTest, AClientThatVanishesIsCancelledAndItsTensorsAreFreed) {
  start();
  auto other = connect();
  ASSERT_TRUE(other->upload("w", filled({4, 8, 8}, 1)).ok());
  EXPECT_EQ(core_->status().resident_tensors, 1u);
  EXPECT_EQ(core_->status().sessions, 2u);
  worker_->hold_samples();
  Sampling sampling = sample(one_row(1), other.get());
  ASSERT_TRUE(wait_until([&] { return worker_->held() == 1; }));
  other.reset();
  EXPECT_EQ(wait(sampling.future).status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(wait_until([&] { return worker_->cancelled() == 1; }));
  EXPECT_TRUE(wait_until([&] { return core_->status().resident_tensors == 0; }));
  EXPECT_TRUE(wait_until([&] { return core_->status().sessions == 1; }));
}

TEST_F(ServiceTest, TensorsOfAnotherSessionAreOutOfReach) {
  start();
  const auto mine = client_->upload("w", filled({2, 2}, 1));
  ASSERT_TRUE(mine.ok()) << mine.status().to_string();
  const std::string id = std::get<ResidentTensor>(mine->place).id;
  const auto other = connect();
  EXPECT_EQ(other->download("w", id).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(first(*client_->download("w", id)), 1);
}

TEST_F(ServiceTest, AnUnknownWorkflowIsNotFound) {
  start();
  const auto reply = call(&InferenceService::tokenize, TokenizeRequest{"x"}, in("nobody"));
  EXPECT_EQ(reply.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(reply.status().message(), HasSubstr("nobody"));
}

TEST_F(ServiceTest, AWorkflowIdThatIsNoneIsRefusedHereAndNow) {
  start();
  for (const std::string& id : {std::string("a b"), std::string("x\n"), std::string(200, 'x')}) {
    const auto reply = call(&InferenceService::tokenize, TokenizeRequest{"x"}, in(id));
    EXPECT_EQ(reply.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(reply.status().message(), HasSubstr("workflow id"));
  }
  const auto reply = call(&InferenceService::tokenize, TokenizeRequest{"x"}, in(""));
  EXPECT_EQ(reply.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(reply.status().message(), HasSubstr("luna-workflow-id is missing"));
}

TEST_F(ServiceTest, APromptThatIsNoUtf8IsRefusedWithASentence) {
  start();
  const auto reply = call(&InferenceService::tokenize, TokenizeRequest{"a \xFF cat"});
  EXPECT_EQ(reply.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(reply.status().message(), HasSubstr("UTF-8"));
}

TEST_F(ServiceTest, FilesThatNoRequestCanNameAreNotListed) {
  folder_.write("models/checkpoints/\xE4.safetensors", "x");
  start();
  const auto models = client_->list_models("checkpoints");
  ASSERT_TRUE(models.ok()) << models.status().to_string();
  EXPECT_EQ(models->files.size(), 1u);
}

TEST_F(ServiceTest, AdminCallsGoThrough) {
  start();
  EXPECT_EQ(client_->list_workflows()->at(0).id, "w");
  EXPECT_LE(*client_->renew_workflow("w"), 60u);
  EXPECT_EQ(client_->renew_workflow("v").status().code(), StatusCode::kNotFound);
  const auto models = client_->list_models("checkpoints");
  ASSERT_TRUE(models.ok()) << models.status().to_string();
  EXPECT_EQ(models->files.at(0).file, "full.safetensors");
  EXPECT_EQ(client_->inspect_model("full.safetensors")->size(), 3u);
  const auto loaded = client_->load_model(Slot::kUNet, {"full.safetensors", Precision::kF32});
  ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
  EXPECT_EQ(loaded->device, "cpu");
  const auto unloaded = client_->unload_model("full.safetensors", true);
  ASSERT_TRUE(unloaded.ok()) << unloaded.status().to_string();
  EXPECT_EQ(unloaded->freed_bytes, 4096u);
  EXPECT_EQ(unloaded->unloaded.at(0).tier, Tier::kFile);
  EXPECT_EQ(unloaded->held.at(0).jobs, 2u);
  const auto offloaded = client_->offload_model("full.safetensors", Slot::kClipL);
  ASSERT_TRUE(offloaded.ok()) << offloaded.status().to_string();
  EXPECT_EQ(offloaded->held.at(0).info.slot, Slot::kClipL) << "the worker was asked for that one";
  EXPECT_EQ(client_->restore_model("full.safetensors")->restored.at(0).info.slot, Slot::kUNet);
  const auto pinned = client_->pin_model("full.safetensors");
  ASSERT_TRUE(pinned.ok()) << pinned.status().to_string();
  EXPECT_EQ(client_->status()->pinned_files, std::vector<std::string>{*pinned});
  EXPECT_EQ(client_->unload_model("full.safetensors", false).status().code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(*client_->unpin_model("full.safetensors"), *pinned);
  EXPECT_EQ(client_->unpin_model("full.safetensors").status().code(), StatusCode::kNotFound);
  const auto status = client_->status();
  ASSERT_TRUE(status.ok()) << status.status().to_string();
  EXPECT_EQ(status->workers.at(0).pid, 1234);
  EXPECT_TRUE(client_->release_workflow("w").ok());
  EXPECT_TRUE(client_->list_workflows()->empty());
}

TEST_F(ServiceTest, WithNobodyThereConnectSaysWhatToDo) {
  client::ConnectOptions options;
  options.address = "unix:" + folder_.file("nobody.sock");
  const auto client = client::GrpcClient::connect(options);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(client.status().message(), HasSubstr(options.address));
  EXPECT_THAT(client.status().message(), HasSubstr("start lunad, or"));
}

TEST_F(ServiceTest, AfterTheDaemonsEndCallsSaySo) {
  start();
  server_.reset();
  EXPECT_TRUE(wait_until([&] {
    return client_->status().status().message().find("connect again") != std::string::npos;
  }));
  const auto reply = call(&InferenceService::tokenize, TokenizeRequest{"x"});
  EXPECT_EQ(reply.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(reply.status().message(), HasSubstr("connect again"));
}

TEST_F(ServiceTest, DrainingFinishesRunningCallsAndRefusesNewOnes) {
  start();
  worker_->hold_samples();
  Sampling sampling = sample(one_row(4));
  ASSERT_TRUE(wait_until([&] { return worker_->held() == 1; }));
  server_->drain();
  const auto refused = call(&InferenceService::tokenize, TokenizeRequest{"x"});
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(refused.status().message(), HasSubstr("stopping"));
  EXPECT_TRUE(client_->status()->draining);
  worker_->release_samples();
  server_->shutdown(Deadline::after(std::chrono::seconds(20)));
  EXPECT_EQ(first(wait(sampling.future)->latents.at(0)), 4);
}

TEST_F(ServiceTest, ShutdownEndsWhatDoesNotFinishInTime) {
  start();
  worker_->hold_samples();
  Sampling sampling = sample(one_row(4));
  ASSERT_TRUE(wait_until([&] { return worker_->held() == 1; }));
  server_->shutdown(Deadline::after(std::chrono::milliseconds(50)));
  EXPECT_FALSE(wait(sampling.future).ok());
  EXPECT_TRUE(wait_until([&] { return worker_->cancelled() == 1; }));
}

TEST_F(ServiceTest, TheSocketBelongsToItsUserAlone) {
  start();
  struct stat info{};
  ASSERT_EQ(::stat(socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(ServiceTest, ASecondDaemonLeavesTheFirstOneItsSocket) {
  start();
  const auto second = front::ApiServer::start(*core_, config_, socket());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE(client_->status().ok());
}

}  // namespace
}  // namespace luna
