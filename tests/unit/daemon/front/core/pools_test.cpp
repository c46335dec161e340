#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

/// A daemon whose text encoders live elsewhere than its UNets and VAEs.
class Pools : public CoreTest {
 protected:
  void SetUp() override {
    describe("text", {Role::kClip});
    describe("image", {Role::kVae, Role::kUnet});
    text_ = add_worker(1, "text");
    image_ = add_worker(2, "image");
    ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  }
  void describe(const std::string& name, std::vector<Role> roles, std::uint32_t max_workers = 1) {
    PoolInfo pool;
    pool.name = name;
    pool.roles = std::move(roles);
    pool.max_workers = max_workers;
    core().describe_pool(pool);
  }
  std::shared_ptr<Outcome> encode() { return submit(caller("w"), EncodeTextRequest{.text = "a"}); }
  PoolInfo pool(const std::string& name) {
    for (const PoolInfo& info : core().status().pools) {
      if (info.name == name) return info;
    }
    return {};
  }

  std::shared_ptr<FakeWorker> text_, image_;
};

TEST_F(Pools, ACallGoesToAWorkerThatHasItsRole) {
  encode();
  submit(caller("w"), sample());
  VaeDecodeRequest decode;
  decode.latent = tensor_of({1, 4, 8, 8}, std::vector<float>(256));
  submit(caller("w"), decode);
  const auto kinds = [](const FakeWorker& worker) {
    std::vector<std::string> names;
    for (const auto& [job, events] : worker.running) names.emplace_back(job_kind(job.request));
    return names;
  };
  EXPECT_THAT(kinds(*text_), ElementsAre("encode_text"));
  EXPECT_THAT(kinds(*image_), ElementsAre("sample", "vae_decode"));
  EXPECT_EQ(pool("text").jobs, 1u);
  EXPECT_EQ(pool("image").jobs, 2u);
}

TEST_F(Pools, AWorkerThatIsFullKeepsNoCallOfAnotherRoleWaiting) {
  for (std::uint32_t i = 0; i < kJobsPerWorker + 5; ++i) submit(caller("w"), sample(i));
  EXPECT_EQ(core().status().jobs.queued, 5u);
  encode();
  EXPECT_THAT(text_->running, SizeIs(1));
}

TEST_F(Pools, WhenARolesWorkersStayDownOnlyItsCallsEnd) {
  auto waiting = encode();
  auto unaffected = submit(caller("w"), sample());
  text_->die();
  core().worker_gone(WorkerId{1}, killed());
  core().worker_given_up(WorkerId{1});
  EXPECT_EQ(waiting->code(), StatusCode::kUnavailable);
  EXPECT_THAT(waiting->message(), HasSubstr("every worker of role 'clip' is down for good"));
  EXPECT_FALSE(unaffected->done());
  EXPECT_EQ(encode()->code(), StatusCode::kUnavailable);
  EXPECT_EQ(submit(caller("w"), sample())->answers, 0);
}

TEST_F(Pools, ACallWaitsWhileItsPoolMayStartAWorker) {
  describe("text", {Role::kClip}, 2);
  text_->die();
  core().worker_gone(WorkerId{1}, killed());
  core().worker_given_up(WorkerId{1});
  auto call = encode();
  EXPECT_FALSE(call->done());
  EXPECT_EQ(core().pool_load("text").waiting, 1u);
  EXPECT_EQ(core().pool_load("image").waiting, 0u);
  auto second = add_worker(3, "text");
  EXPECT_THAT(second->running, SizeIs(1));
}

TEST_F(Pools, ARetiredWorkerGetsNothingMoreAndIsForgotten) {
  describe("text", {Role::kClip}, 2);
  auto second = add_worker(3, "text");
  EXPECT_TRUE(core().retire_worker(WorkerId{3}));
  for (int i = 0; i < 10; ++i) encode();
  EXPECT_THAT(second->running, SizeIs(0));
  core().worker_report(WorkerId{3}, {});
  encode();
  EXPECT_THAT(second->running, SizeIs(0)) << "a sign of life does not bring it back";
  EXPECT_EQ(pool("text").workers, 1u);
  core().worker_gone(WorkerId{3}, {WorkerEnd::Kind::kAsked, "exited with 0"});
  core().worker_given_up(WorkerId{3});
  EXPECT_THAT(core().status().workers, SizeIs(2));
}

TEST_F(Pools, ACallThatComesWhileTheLastWorkerIsStoppedForIdlenessWaitsForTheNextOne) {
  EXPECT_TRUE(core().retire_worker(WorkerId{1}));
  auto call = encode();
  EXPECT_FALSE(call->done()) << call->message();
  core().worker_gone(WorkerId{1}, {WorkerEnd::Kind::kAsked, "exited with 0"});
  core().worker_given_up(WorkerId{1});
  EXPECT_FALSE(call->done()) << call->message();
  EXPECT_TRUE(core().pool_load("text").workers.empty());
  EXPECT_EQ(core().pool_load("text").waiting, 1u);
  EXPECT_THAT(add_worker(3, "text")->running, SizeIs(1));
}

TEST_F(Pools, AWorkerWithACallIsNotRetired) {
  auto call = encode();
  EXPECT_FALSE(core().retire_worker(WorkerId{1}));
  text_->finish_all(Result<JobReply>(EncodeTextReply{}));
  EXPECT_TRUE(core().retire_worker(WorkerId{1}));
  EXPECT_FALSE(core().retire_worker(WorkerId{99}));
}

TEST_F(Pools, TheLoadCountsIdlenessFromTheEndOfTheLastCall) {
  auto call = encode();
  advance(std::chrono::seconds(10));
  text_->finish_all(Result<JobReply>(EncodeTextReply{}));
  const TimePoint ended = now_;
  advance(std::chrono::seconds(5));
  const PoolLoad load = core().pool_load("text");
  ASSERT_THAT(load.workers, SizeIs(1));
  EXPECT_EQ(load.workers[0].idle_since, ended);
  EXPECT_EQ(load.workers[0].jobs, 0u);
}

class WithoutARole : public CoreTest {};

TEST_F(WithoutARole, ACallThatNoPoolServesIsRefusedByItsRole) {
  PoolInfo pool;
  pool.name = "text";
  pool.roles = {Role::kClip};
  core().describe_pool(pool);
  add_worker(1, "text");
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  auto call = submit(caller("w"), sample());
  EXPECT_EQ(call->code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(call->message(), HasSubstr("no [[pool]] of this daemon has the role 'unet'"));
}

}  // namespace
}  // namespace luna::front
