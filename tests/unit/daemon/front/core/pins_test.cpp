// Pins, and requests that go to all workers: what the core keeps, passes on and adds up.
#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Pins : public CoreTest {
 protected:
  const std::string full_ = path_of("checkpoints/full.safetensors");
  const std::string vae_ = path_of("vae/vae.safetensors");

  static LoadedModel component(Slot slot, const std::string& hash, std::uint32_t jobs = 0) {
    LoadedModel model;
    model.info.slot = slot;
    model.info.content_hash = hash;
    model.resident_bytes = 100;
    model.jobs = jobs;
    return model;
  }
  void keep(Slot slot, const std::string& hash) {
    core().keep_weights(WorkerId{1}, {{.path = full_}, slot},
                        {hash, {}, {}, bytes_from(std::string(10, 'x'))});
  }
  static UnloadModelReply reply_of(const Outcome& outcome) {
    return std::get<UnloadModelReply>(**outcome.result);
  }
};

TEST_F(Pins, AreToldToEveryWorkerAndToThoseThatComeLater) {
  const auto one = add_worker(1);
  EXPECT_EQ(*core().pin_model({}, "full.safetensors"), full_);
  EXPECT_THAT(one->pins, ElementsAre(full_));
  ASSERT_TRUE(core().pin_model({}, "vae.safetensors").ok());
  const auto two = add_worker(2);
  EXPECT_THAT(one->pins, ElementsAre(full_, vae_));
  EXPECT_THAT(two->pins, ElementsAre(full_, vae_));
  core().worker_gone(WorkerId{1}, killed());
  EXPECT_THAT(add_worker(1)->pins, ElementsAre(full_, vae_)) << "a new life of worker 1";
  ASSERT_TRUE(core().unpin_model({}, "full.safetensors").ok());
  EXPECT_THAT(two->pins, ElementsAre(vae_));
  EXPECT_THAT(core().status().pinned_files, ElementsAre(vae_));
}

TEST_F(Pins, NameFilesAsCallsDoAndAreBounded) {
  config_.limits.pinned_files = 1;
  EXPECT_EQ(core().pin_model({}, "absent.safetensors").status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(core().pin_model({}, "full.safetensors").ok());
  EXPECT_TRUE(core().pin_model({}, "full.safetensors").ok()) << "again";
  EXPECT_EQ(core().pin_model({}, "vae.safetensors").status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(core().unpin_model({}, "vae.safetensors").status().code(), StatusCode::kNotFound);
}

TEST_F(Pins, AFileThatIsGoneCanStillBeUnpinnedByItsPath) {
  ASSERT_TRUE(core().pin_model({}, "vae.safetensors").ok());
  std::filesystem::remove(vae_);
  EXPECT_TRUE(core().unpin_model({}, vae_).ok());
  EXPECT_THAT(core().status().pinned_files, IsEmpty());
}

TEST_F(Pins, UnloadingAPinnedFileIsRefusedWithTheWayOut) {
  const auto worker = add_worker(1);
  ASSERT_TRUE(core().pin_model({}, "full.safetensors").ok());
  UnloadModelRequest unload;
  unload.path = "full.safetensors";
  const auto call = submit({}, unload);
  EXPECT_EQ(call->code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(call->message(), HasSubstr("luna models unpin"));
  EXPECT_THAT(worker->seen, IsEmpty());
}

TEST_F(Pins, AnUnloadAddsUpTheWorkersAndSaysWhereTheWeightsLie) {
  for (std::uint64_t id : {1, 2}) {
    add_worker(id)->answer = [](const Job& job) {
      EXPECT_TRUE(std::get<UnloadModelRequest>(job.request).restorable);
      UnloadModelReply reply;
      reply.freed_bytes = 200;
      reply.unloaded = {component(Slot::kVae, "vae"), component(Slot::kClipL, "text")};
      reply.held = {component(Slot::kUNet, "unet", 2)};
      return Result<JobReply>(JobReply(std::move(reply)));
    };
  }
  keep(Slot::kVae, "vae");
  UnloadModelRequest offload;
  offload.path = "full.safetensors";
  offload.restorable = true;
  const auto call = submit({}, offload);
  ASSERT_TRUE(call->ok()) << call->message();
  const UnloadModelReply reply = reply_of(*call);
  EXPECT_EQ(reply.freed_bytes, 400u);
  ASSERT_THAT(reply.unloaded, SizeIs(2));
  EXPECT_EQ(reply.unloaded[0].tier, Tier::kHost);
  EXPECT_EQ(reply.unloaded[0].resident_bytes, 200u);
  EXPECT_EQ(reply.unloaded[1].tier, Tier::kFile);
  ASSERT_THAT(reply.held, SizeIs(1));
  EXPECT_EQ(reply.held[0].jobs, 4u) << "of both workers";
}

TEST_F(Pins, AnUnloadWithHostCopiesDropsThemButForWhatIsHeld) {
  add_worker(1)->answer = [](const Job&) {
    UnloadModelReply reply;
    reply.unloaded = {component(Slot::kVae, "vae")};
    reply.held = {component(Slot::kUNet, "unet", 1)};
    return Result<JobReply>(JobReply(std::move(reply)));
  };
  keep(Slot::kVae, "vae");
  keep(Slot::kUNet, "unet");
  keep(Slot::kClipL, "text");
  UnloadModelRequest unload;
  unload.path = "full.safetensors";
  unload.host = true;
  const auto call = submit({}, unload);
  ASSERT_TRUE(call->ok()) << call->message();
  EXPECT_EQ(reply_of(*call).host_freed_bytes, 20u);
  EXPECT_EQ(reply_of(*call).unloaded.at(0).tier, Tier::kFile);
  EXPECT_EQ(core().status().host_copies, 1u);
}

TEST_F(Pins, ARestoreAsksAllWorkersAndAFailureOfOneIsTold) {
  const auto one = add_worker(1), two = add_worker(2);
  one->answer = [](const Job&) {
    RestoreModelReply reply;
    reply.restored = {component(Slot::kUNet, "unet")};
    return Result<JobReply>(JobReply(std::move(reply)));
  };
  two->answer = [](const Job&) { return Result<JobReply>(JobReply(RestoreModelReply{})); };
  const auto call = submit({}, RestoreModelRequest{"full.safetensors"});
  ASSERT_TRUE(call->ok()) << call->message();
  EXPECT_THAT(std::get<RestoreModelReply>(**call->result).restored, SizeIs(1));
  two->answer = [](const Job&) {
    return Result<JobReply>(Status(StatusCode::kResourceExhausted, "no room"));
  };
  EXPECT_EQ(submit({}, RestoreModelRequest{"full.safetensors"})->code(),
            StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace luna::front
