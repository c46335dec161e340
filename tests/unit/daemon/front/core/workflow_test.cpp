#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Workflows = CoreTest;

TEST_F(Workflows, ACheckpointFillsEverySlotThatItHasAComponentFor) {
  add_worker(1);
  const auto info = register_checkpoint("w", "full.safetensors");
  ASSERT_TRUE(info.ok()) << info.status().to_string();
  EXPECT_EQ(info->models.slots.size(), 3u);
  EXPECT_EQ(info->models.slots.at(Slot::kVae).path, path_of("checkpoints/full.safetensors"));
  EXPECT_EQ(info->components.size(), 3u);
  EXPECT_EQ(info->seconds_left, config_.limits.default_ttl_seconds);
}

TEST_F(Workflows, AnExplicitSlotWinsOverTheCheckpointAndPrecisionIsPerSlot) {
  add_worker(1);
  RequestedModels models{.checkpoint = ModelRef{"full.safetensors", Precision::kBF16}};
  models.slots[Slot::kVae] = {"vae.safetensors"};
  models.slot_precision[Slot::kClipL] = Precision::kF32;
  const auto info = register_workflow("w", models);
  ASSERT_TRUE(info.ok()) << info.status().to_string();
  EXPECT_EQ(info->models.slots.at(Slot::kVae).path, path_of("vae/vae.safetensors"));
  EXPECT_EQ(info->models.slots.at(Slot::kUNet).precision, Precision::kBF16);
  EXPECT_EQ(info->models.slots.at(Slot::kClipL).precision, Precision::kF32);
}

TEST_F(Workflows, APreviewModelComesFromVaeApproxAndGoesWithEveryJob) {
  write("vae_approx/taesd.safetensors");
  contents_["taesd.safetensors"] = {Slot::kPreview};
  auto worker = add_worker(1);
  RequestedModels models{.checkpoint = ModelRef{"full.safetensors"}};
  models.slots[Slot::kPreview] = {"taesd.safetensors"};
  ASSERT_TRUE(register_workflow("w", models).ok());
  submit(caller("w"), sample());
  ASSERT_EQ(worker->running.size(), 1u);
  EXPECT_EQ(worker->running.front().first.models.slots.at(Slot::kPreview).path,
            path_of("vae_approx/taesd.safetensors"));
}

TEST_F(Workflows, AFileWithoutItsSlotsComponentIsRefusedWithWhatItHas) {
  add_worker(1);
  RequestedModels models;
  models.slots[Slot::kUNet] = {"vae/vae.safetensors"};
  const auto info = register_workflow("w", models);
  EXPECT_EQ(info.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(info.status().message(), AllOf(HasSubstr("needs a unet"), HasSubstr("holds vae")));
}

TEST_F(Workflows, EveryFileThatCannotBeUsedIsNamedInOneError) {
  write("checkpoints/strange.safetensors");
  add_worker(1);
  RequestedModels models{.checkpoint = ModelRef{"strange.safetensors"}};
  models.slots[Slot::kUNet] = {"vae/vae.safetensors"};
  models.slots[Slot::kVae] = {"vea.safetensors"};
  models.slots[Slot::kClipL] = {"absent.safetensors"};
  models.slot_precision[Slot::kClipG] = Precision::kF32;
  const Status status = register_workflow("w", models).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound) << "that of the first";
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("4 of the named models"), HasSubstr("vae: no file 'vea.safetensors'"),
                    HasSubstr("did you mean 'vae.safetensors'"),
                    HasSubstr("clip_l: no file 'absent.safetensors'"),
                    HasSubstr("unet: the slot needs a unet"), HasSubstr("checkpoint: '")));
}

TEST_F(Workflows, OneFileThatFailsForSeveralSlotsIsNamedOnce) {
  add_worker(1);
  const std::string folder = std::filesystem::path(path_of("checkpoints")).string() + "/folder";
  write("checkpoints/folder/model_index.json");
  RequestedModels models;
  models.slots[Slot::kUNet] = {folder};
  models.slots[Slot::kVae] = {folder};
  const Status status = register_workflow("w", models).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("unet, vae: diffusers folder"),
                                      HasSubstr("expected a subfolder unet")));
}

TEST_F(Workflows, AModelOfSeveralFilesIsInspectedAgainWhenOneOfThemChanges) {
  write("checkpoints/big-1.safetensors");
  const std::string index = path_of("checkpoints/big.safetensors.index.json");
  std::ofstream(index) << R"({"weight_map": {"a": "big-1.safetensors"}})";
  contents_["big.safetensors.index.json"] = {Slot::kUNet, Slot::kVae, Slot::kClipL};
  add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "big.safetensors.index.json").ok());
  ASSERT_TRUE(register_checkpoint("b", "big.safetensors.index.json").ok());
  EXPECT_EQ(inspections_, 1);
  std::ofstream(path_of("checkpoints/big-1.safetensors")) << "longer than it was before";
  ASSERT_TRUE(register_checkpoint("c", "big.safetensors.index.json").ok());
  EXPECT_EQ(inspections_, 2);
  std::filesystem::remove(path_of("checkpoints/big-1.safetensors"));
  EXPECT_THAT(register_checkpoint("d", "big.safetensors.index.json").status().message(),
              AllOf(HasSubstr("checkpoint: "), HasSubstr("its shard 'big-1.safetensors'")));
}

TEST_F(Workflows, ACheckpointOfUnknownFamilyIsRefused) {
  write("checkpoints/strange.safetensors");
  add_worker(1);
  EXPECT_EQ(register_checkpoint("w", "strange.safetensors").status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(Workflows, APrecisionForAnEmptySlotIsRefused) {
  add_worker(1);
  RequestedModels models;
  models.slots[Slot::kVae] = {"vae.safetensors"};
  models.slot_precision[Slot::kUNet] = Precision::kF32;
  EXPECT_THAT(register_workflow("w", models).status().message(), HasSubstr("slot unet"));
}

TEST_F(Workflows, AFailedReplacementLeavesTheOldSet) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  EXPECT_FALSE(register_checkpoint("w", "missing.safetensors").ok());
  auto call = submit(caller("w"), sample());
  EXPECT_EQ(worker->running.at(0).first.models.slots.at(Slot::kUNet).path,
            path_of("checkpoints/full.safetensors"));
}

TEST_F(Workflows, ReplacementSwitchesLaterCallsOnly) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  auto before = submit(caller("w"), sample(1));
  ASSERT_TRUE(register_checkpoint("w", "other.safetensors").ok());
  auto after = submit(caller("w"), sample(2));
  ASSERT_EQ(worker->running.size(), 2u);
  EXPECT_EQ(worker->running[0].first.models.slots.at(Slot::kUNet).path,
            path_of("checkpoints/full.safetensors"));
  EXPECT_EQ(worker->running[1].first.models.slots.at(Slot::kUNet).path,
            path_of("checkpoints/other.safetensors"));
}

TEST_F(Workflows, AJobThatIsRunAgainKeepsTheSetItWasAdmittedWith) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  auto call = submit(caller("w"), sample());
  ASSERT_TRUE(register_checkpoint("w", "other.safetensors").ok());
  auto next = add_worker(2);
  worker->die();
  core().worker_gone(WorkerId{1}, killed());
  EXPECT_EQ(next->running.at(0).first.models.slots.at(Slot::kUNet).path,
            path_of("checkpoints/full.safetensors"));
}

TEST_F(Workflows, TwoWorkflowsNeverMix) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "other.safetensors").ok());
  std::vector<std::shared_ptr<Outcome>> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(submit(caller(i % 2 ? "b" : "a"), sample(i)));
  while (!worker->running.empty()) {
    const Job job = worker->running.back().first;
    const bool is_a =
        job.models.slots.at(Slot::kUNet).path == path_of("checkpoints/full.safetensors");
    EXPECT_EQ(job.workflow, is_a ? "a" : "b");
    worker->finish(job.id, sampled(static_cast<float>(seed_of(job))));
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(value_of(*calls[i]), static_cast<float>(i));
}

TEST_F(Workflows, AFileIsInspectedOnceUntilItChanges) {
  add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "full.safetensors").ok());
  EXPECT_EQ(inspections_, 1);
  std::ofstream(path_of("checkpoints/full.safetensors")) << "longer than it was before";
  ASSERT_TRUE(register_checkpoint("c", "full.safetensors").ok());
  EXPECT_EQ(inspections_, 2);
}

TEST_F(Workflows, PreloadLoadsEverySlotBeforeTheAnswer) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_workflow("w", {.checkpoint = ModelRef{"full.safetensors"}}, 0, true).ok());
  int loads = 0;
  for (const Job& job : worker->seen)
    loads += std::holds_alternative<LoadModelRequest>(job.request);
  EXPECT_EQ(loads, 3);
}

TEST_F(Workflows, ALaterRegistrationWinsOverAnEarlierOneThatTookLonger) {
  auto worker = add_worker(1);
  worker->answer = nullptr;
  std::vector<Result<WorkflowInfo>> answers;
  const auto note = [&](Result<WorkflowInfo> info) { answers.push_back(std::move(info)); };
  core().register_workflow({}, "w", {.checkpoint = ModelRef{"full.safetensors"}}, 0, false, note);
  core().register_workflow({}, "w", {.checkpoint = ModelRef{"other.safetensors"}}, 0, false, note);
  ASSERT_EQ(worker->running.size(), 2u);
  const JobReply found = InspectModelReply{{{.slot = Slot::kUNet, .family = "sd1"}}};
  worker->finish(worker->running[1].first.id, found);
  worker->finish(worker->running[0].first.id, found);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers[0].ok());
  EXPECT_EQ(answers[1].status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(core().list_workflows().at(0).models.slots.at(Slot::kUNet).path,
            path_of("checkpoints/other.safetensors"));
}

TEST_F(Workflows, AnEmptyIdIsReplacedByOneThatNobodyElseHas) {
  add_worker(1);
  const auto a = register_checkpoint("", "full.safetensors");
  const auto b = register_checkpoint("", "full.safetensors");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(a->id, b->id);
}

TEST_F(Workflows, ABadIdIsRefused) {
  for (const std::string& id : {std::string("a b"), std::string(129, 'x'), std::string("é")}) {
    EXPECT_EQ(register_workflow(id, {}).status().code(), StatusCode::kInvalidArgument) << id;
  }
}

TEST_F(Workflows, ThereAreOnlyAsManyAsTheLimitAllows) {
  config_.limits.workflows = 2;
  ASSERT_TRUE(register_workflow("a", {}).ok());
  ASSERT_TRUE(register_workflow("b", {}).ok());
  EXPECT_EQ(register_workflow("c", {}).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(register_workflow("a", {}).ok());
  ASSERT_TRUE(core().release_workflow("b").ok());
  EXPECT_TRUE(register_workflow("c", {}).ok());
}

TEST_F(Workflows, ALeaseEndsAfterItsTimeWithoutUse) {
  ASSERT_TRUE(register_workflow("w", {}, 10).ok());
  advance(std::chrono::seconds(9));
  core().tick();
  EXPECT_EQ(core().list_workflows().at(0).seconds_left, 1u);
  advance(std::chrono::seconds(1));
  core().tick();
  EXPECT_TRUE(core().list_workflows().empty());
  EXPECT_EQ(core().renew_workflow("w").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(core().status().events.back().text, HasSubstr("lease of workflow 'w' ended"));
}

TEST_F(Workflows, UseAndRenewalGiveALeaseItsFullTimeAgain) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_workflow("w", {.checkpoint = ModelRef{"full.safetensors"}}, 10).ok());
  advance(std::chrono::seconds(9));
  auto call = submit(caller("w"), sample());
  advance(std::chrono::seconds(100));
  core().tick();
  EXPECT_EQ(core().list_workflows().at(0).calls_running, 1u) << "a lease in use does not end";
  worker->finish_all(sampled(1));
  EXPECT_EQ(core().list_workflows().at(0).seconds_left, 10u);
  advance(std::chrono::seconds(9));
  EXPECT_EQ(*core().renew_workflow("w"), 10u);
  EXPECT_EQ(core().list_workflows().at(0).calls, 1u);
}

TEST_F(Workflows, AnUnknownWorkflowIsNotFoundAndTheNearestIsNamed) {
  ASSERT_TRUE(register_workflow("portrait", {}).ok());
  auto call = submit(caller("portriat"), sample());
  EXPECT_EQ(call->code(), StatusCode::kNotFound);
  EXPECT_THAT(call->message(), HasSubstr("did you mean 'portrait'"));
  EXPECT_EQ(core().release_workflow("nobody").code(), StatusCode::kNotFound);
}

TEST_F(Workflows, AMissingSlotFailsTheCallThatNeedsItByName) {
  auto worker = add_worker(1);
  RequestedModels models;
  models.slots[Slot::kVae] = {"vae.safetensors"};
  ASSERT_TRUE(register_workflow("w", models).ok());
  auto call = submit(caller("w"), sample());
  EXPECT_EQ(call->code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(call->message(),
              AllOf(HasSubstr("sample needs the slot unet"), HasSubstr("has vae")));
  EXPECT_THAT(submit(caller("w"), EncodeTextRequest{.text = "x"})->message(),
              AllOf(HasSubstr("encode_text needs the slot clip_l (a file below text_encoders/"),
                    HasSubstr("for pictures it also lacks unet (a file below diffusion_models/")));
  EXPECT_FALSE(
      submit(caller("w"), VaeDecodeRequest{.latent = {{DType::kF32, {1, 4, 8, 8}}}})->done());
  EXPECT_EQ(core().list_workflows().at(0).calls_running, 1u);
}

TEST_F(Workflows, ComponentsShowTheHashOnceAWorkerHasLoadedThem) {
  add_worker(1);
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  WorkerReport report;
  report.models.push_back({.info = {.slot = Slot::kVae, .content_hash = "abc"},
                           .paths = {path_of("checkpoints/full.safetensors")}});
  core().worker_report(WorkerId{1}, report);
  const auto workflows = core().list_workflows();
  for (const ComponentInfo& component : workflows.at(0).components) {
    EXPECT_EQ(component.content_hash, component.slot == Slot::kVae ? "abc" : "");
  }
}

}  // namespace
}  // namespace luna::front
