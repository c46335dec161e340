#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Jobs : public CoreTest {
 protected:
  void SetUp() override { start(); }
  void start() {
    worker_ = add_worker(1);
    ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  }
  std::shared_ptr<FakeWorker> worker_;
};

class Limited : public CoreTest {};

TEST_F(Jobs, AnAnswerReachesItsCallOnceAndIsCounted) {
  auto call = submit(caller("w"), sample());
  EXPECT_EQ(core().status().jobs.running, 1u);
  worker_->finish_all(sampled(3));
  ASSERT_TRUE(call->ok());
  EXPECT_EQ(value_of(*call), 3);
  EXPECT_EQ(call->answers, 1);
  const JobTotals totals = core().status().jobs;
  EXPECT_EQ(totals.accepted, 1u);
  EXPECT_EQ(totals.done, 1u);
  EXPECT_EQ(totals.running, 0u);
}

TEST_F(Jobs, EightJobsOfAWorkerThatDiesAreAllRunAgainAndAnswered) {
  std::vector<std::shared_ptr<Outcome>> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(submit(caller("w"), sample(i)));
  ASSERT_EQ(worker_->running.size(), 8u);
  worker_->die();
  EXPECT_EQ(core().status().jobs.queued, 8u);
  core().worker_gone(WorkerId{1}, killed());
  EXPECT_EQ(core().status().jobs.queued, 8u);
  EXPECT_THAT(core().status().events.back().text,
              AllOf(HasSubstr("killed by signal 9"), HasSubstr("8 jobs")));
  auto again = add_worker(1);
  ASSERT_EQ(again->running.size(), 8u);
  while (!again->running.empty()) {
    const Job job = again->running.front().first;
    again->finish(job.id, sampled(static_cast<float>(seed_of(job))));
  }
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(calls[i]->answers, 1);
    EXPECT_EQ(value_of(*calls[i]), static_cast<float>(i));
  }
  EXPECT_EQ(core().status().jobs.rerun, 8u);
  EXPECT_EQ(core().status().workers.at(0).restarts, 1u);
  EXPECT_EQ(core().status().workers.at(0).last_exit, "killed from outside: killed by signal 9");
}

TEST_F(Jobs, AJobOfADeadWorkerGoesToAnotherWithoutWaitingForTheRestart) {
  auto call = submit(caller("w"), sample());
  auto other = add_worker(2);
  worker_->die();
  EXPECT_TRUE(other->running.empty()) << "first it must be known what ended the worker";
  core().worker_gone(WorkerId{1}, killed());
  EXPECT_EQ(other->running.size(), 1u);
}

TEST_F(Jobs, AJobOfAWorkerThatIsReplacedAtOnceWaitsForTheReplacementRatherThanCrowdAnother) {
  auto other = add_worker(2);
  std::vector<std::shared_ptr<Outcome>> calls;
  for (int i = 0; i < 12; ++i) calls.push_back(submit(caller("w"), sample(i)));
  ASSERT_GE(worker_->running.size(), 4u);
  const std::size_t others = other->running.size();
  ASSERT_GT(others, WorkerTable::kPreference);
  worker_->die();
  core().worker_gone(WorkerId{1}, replaced_at_once());
  EXPECT_EQ(other->running.size(), others);
  worker_ = add_worker(1);
  EXPECT_EQ(worker_->running.size(), 12 - others);
}

TEST_F(Jobs, AnIdleWorkerGoesBeforeAReplacement) {
  auto call = submit(caller("w"), sample());
  auto other = add_worker(2);
  worker_->die();
  core().worker_gone(WorkerId{1}, replaced_at_once());
  EXPECT_EQ(other->running.size(), 1u);
}

TEST_F(Jobs, AReplacementThatDoesNotComeIsNotWaitedForLong) {
  auto other = add_worker(2);
  for (int i = 0; i < 12; ++i) submit(caller("w"), sample(i));
  const std::size_t others = other->running.size();
  worker_->die();
  core().worker_gone(WorkerId{1}, replaced_at_once());
  now_ += WorkerTable::kExpected;
  core().worker_report(WorkerId{2}, {});
  EXPECT_EQ(other->running.size(), 12u) << others << " before";
}

TEST_F(Jobs, WithHostCopiesAtHandJobsSpreadOverTheWorkersSooner) {
  auto other = add_worker(2);
  for (int i = 0; i < 4; ++i) submit(caller("w"), sample(i));
  EXPECT_EQ(worker_->running.size(), 4u) << "the other one would have to read the file";
  worker_->finish_all(sampled(1));
  core().keep_weights(WorkerId{1}, {{.path = path_of("checkpoints/full.safetensors")}, Slot::kUNet},
                      {"hash", {}, {}, bytes_from("x")});
  for (int i = 0; i < 4; ++i) submit(caller("w"), sample(i));
  EXPECT_EQ(worker_->running.size(), 2u);
  EXPECT_EQ(other->running.size(), 2u);
}

TEST_F(Jobs, NothingGoesToAWorkerThatAnsweredUnavailableUntilItIsHeardAgain) {
  auto call = submit(caller("w"), sample());
  worker_->die();
  EXPECT_TRUE(worker_->running.empty());
  core().worker_report(WorkerId{1}, {});
  EXPECT_EQ(worker_->running.size(), 1u);
}

TEST_F(Jobs, AWorkerThatLivesAndTakesNothingDoesNotKeepAJobForEver) {
  auto call = submit(caller("w"), sample());
  for (int run = 1; run <= 4; ++run) {
    EXPECT_FALSE(call->done());
    worker_->die();
    core().worker_report(WorkerId{1}, {});
  }
  EXPECT_EQ(call->code(), StatusCode::kUnavailable);
}

TEST_F(Jobs, AJobIsRunAgainThreeTimesAndThenGivenUp) {
  auto call = submit(caller("w"), sample());
  for (int run = 1; run <= 4; ++run) {
    EXPECT_FALSE(call->done());
    worker_->die();
    core().worker_gone(WorkerId{1}, killed());
    worker_ = add_worker(1);
  }
  EXPECT_EQ(call->code(), StatusCode::kUnavailable);
  EXPECT_THAT(call->message(), HasSubstr("4 workers died"));
  EXPECT_TRUE(worker_->running.empty());
}

TEST_F(Jobs, AnErrorOfTheJobItselfIsNotTriedAgain) {
  auto call = submit(caller("w"), sample());
  worker_->finish_all(Status(StatusCode::kInvalidArgument, "row 0: NaN in the latent"));
  EXPECT_EQ(call->code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(core().status().jobs.failed, 1u);
}

TEST_F(Jobs, ARerunRepeatsNoProgress) {
  auto call = submit(caller("w"), sample());
  for (const int step : {1, 2, 3}) worker_->progress(call->id, step);
  worker_->die();
  core().worker_gone(WorkerId{1}, killed());
  worker_ = add_worker(1);
  for (const int step : {1, 2, 3, 4, 5}) worker_->progress(call->id, step);
  EXPECT_THAT(call->steps, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(Jobs, WhenEveryWorkerIsDownForGoodQueuedAndNewCallsAreAnswered) {
  auto call = submit(caller("w"), sample());
  worker_->die();
  core().worker_gone(WorkerId{1}, crash("no libtorch"));
  EXPECT_FALSE(call->done());
  core().worker_given_up(WorkerId{1});
  EXPECT_EQ(call->code(), StatusCode::kUnavailable);
  EXPECT_THAT(call->message(), HasSubstr("no libtorch"));
  EXPECT_EQ(submit(caller("w"), sample())->code(), StatusCode::kUnavailable);
  EXPECT_EQ(core().status().workers.at(0).state, "failed");
}

TEST_F(Jobs, CallsWaitForTheFirstWorker) {
  core().worker_gone(WorkerId{1}, killed());
  auto call = submit(caller("w"), sample());
  EXPECT_FALSE(call->done());
  auto again = add_worker(1);
  EXPECT_EQ(again->running.size(), 1u);
}

TEST_F(Jobs, ACancelReachesTheWorkerAndIsAnsweredOnce) {
  auto call = submit(caller("w"), sample());
  core().cancel(call->id);
  core().cancel(call->id);
  EXPECT_EQ(call->code(), StatusCode::kCancelled);
  EXPECT_EQ(call->answers, 1);
  EXPECT_EQ(worker_->cancelled.size(), 1u);
  EXPECT_EQ(core().status().jobs.cancelled, 1u);
}

TEST_F(Jobs, AQueuedCallIsCancelledAtOnce) {
  core().worker_gone(WorkerId{1}, killed());
  auto call = submit(caller("w"), sample());
  core().cancel(call->id);
  EXPECT_EQ(call->code(), StatusCode::kCancelled);
  EXPECT_TRUE(add_worker(1)->running.empty());
}

TEST_F(Jobs, ACancelledJobIsNotRunAgainWhenItsWorkerDies) {
  class Deaf : public FakeWorker {
   public:
    using FakeWorker::FakeWorker;
    void cancel(JobId job) override { cancelled.push_back(job); }
  };
  core().worker_gone(WorkerId{1}, killed());
  auto deaf = std::make_shared<Deaf>(1);
  core().worker_ready(deaf, "cpu");
  auto call = submit(caller("w"), sample());
  core().cancel(call->id);
  EXPECT_FALSE(call->done());
  deaf->die();
  EXPECT_EQ(call->code(), StatusCode::kCancelled);
}

TEST_F(Jobs, ACancelThatComesWhileTheJobIsHandedOverIsNotLost) {
  JobId id;
  worker_->answer = [&](const Job& job) -> std::optional<Result<JobReply>> {
    id = job.id;
    core().cancel(job.id);
    return std::nullopt;
  };
  auto call = submit(caller("w"), sample());
  EXPECT_THAT(worker_->cancelled, ElementsAre(id));
  EXPECT_EQ(call->code(), StatusCode::kCancelled);
}

TEST_F(Jobs, CancellingWhatIsDoneOrNeverWasIsHarmless) {
  core().cancel(JobId{12345});
  auto call = submit(caller("w"), sample());
  worker_->finish_all(sampled(1));
  core().cancel(call->id);
  EXPECT_TRUE(call->ok());
}

TEST_F(Jobs, ADeadlineInThePastIsRefused) {
  Caller late = caller("w");
  late.deadline = Deadline::after(std::chrono::seconds(-1));
  auto call = submit(late, sample());
  EXPECT_EQ(call->code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(core().status().jobs.refused, 1u);
  EXPECT_TRUE(worker_->running.empty());
}

TEST_F(Jobs, AQueuedCallEndsWithItsDeadline) {
  core().worker_gone(WorkerId{1}, killed());
  Caller soon = caller("w");
  soon.deadline = Deadline::after(std::chrono::milliseconds(1));
  auto call = submit(soon, sample());
  while (!soon.deadline.expired()) {
  }
  core().tick();
  EXPECT_EQ(call->code(), StatusCode::kDeadlineExceeded);
}

TEST_F(Jobs, DrainRefusesNewCallsAndTellsWhenTheLastHasEnded) {
  auto call = submit(caller("w"), sample());
  int idle = 0;
  core().drain([&] { ++idle; });
  EXPECT_EQ(submit(caller("w"), sample())->code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(register_workflow("x", {}).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(core().status().draining);
  EXPECT_EQ(idle, 0);
  worker_->finish_all(sampled(1));
  EXPECT_TRUE(call->ok());
  EXPECT_EQ(idle, 1);
}

TEST_F(Jobs, DrainOfAnIdleCoreTellsAtOnce) {
  int idle = 0;
  core().drain([&] { ++idle; });
  EXPECT_EQ(idle, 1);
}

TEST_F(Jobs, AtTheEndOfADrainWhatStillRunsIsAnsweredAndLateRepliesAreDropped) {
  auto call = submit(caller("w"), sample());
  int idle = 0;
  core().drain([&] { ++idle; });
  core().end_all(Status(StatusCode::kUnavailable, "time is up"));
  EXPECT_EQ(call->message(), "time is up");
  EXPECT_EQ(idle, 1);
  worker_->finish_all(sampled(1));
  EXPECT_EQ(call->answers, 1);
}

TEST_F(Jobs, ACoreThatEndsAnswersEveryCall) {
  auto call = submit(caller("w"), sample());
  core_.reset();
  EXPECT_EQ(call->code(), StatusCode::kUnavailable);
  worker_->finish_all(sampled(1));
  EXPECT_EQ(call->answers, 1);
}

TEST_F(Jobs, IdleTimeCountsFromTheLastUseWhileNothingIsOpen) {
  advance(std::chrono::seconds(5));
  EXPECT_EQ(core().idle_for(), std::chrono::seconds(5));
  auto call = submit(caller("w"), sample());
  advance(std::chrono::seconds(5));
  EXPECT_EQ(core().idle_for().count(), 0);
  worker_->finish_all(sampled(1));
  const std::string session = core().open_session("test");
  advance(std::chrono::seconds(5));
  EXPECT_EQ(core().idle_for().count(), 0);
  core().close_session(session);
  advance(std::chrono::seconds(5));
  EXPECT_EQ(core().idle_for(), std::chrono::seconds(5));
}

TEST_F(Limited, AFullQueueOfAWorkflowRefusesWithAHintAndLeavesOthersAlone) {
  config_.limits.queue_per_workflow = 2;
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "full.safetensors").ok());
  auto first = submit(caller("a"), sample());
  auto second = submit(caller("a"), sample());
  auto third = submit(caller("a"), sample());
  EXPECT_EQ(third->code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(third->message(), testing::ContainsRegex("retry in [0-9]+ ms"));
  EXPECT_FALSE(submit(caller("b"), sample())->done());
  worker->finish(first->id, sampled(1));
  EXPECT_FALSE(submit(caller("a"), sample())->done());
}

TEST_F(Limited, TwoCallsThatComeTogetherCannotBothTakeTheLastPlace) {
  config_.limits.queue_per_workflow = 1;
  std::shared_ptr<Outcome> other;
  // The request is read without a lock while it is on its way in: there another one overtakes it.
  core_ = std::make_unique<FrontCore>(
      std::make_shared<const Config>(config_), [this] { return now_; },
      [&](const Job& job) {
        if (seed_of(job) == 7) other = submit(caller("a"), sample(8));
        return fingerprint_of(job);
      });
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  auto guilty = submit(caller("a"), sample(2));
  worker->die();
  core().worker_gone(WorkerId{1}, crash());
  worker = add_worker(1);
  core().cancel(guilty->id);
  ASSERT_TRUE(guilty->done());

  auto overtaken = submit(caller("a"), sample(7));
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->done());
  EXPECT_EQ(overtaken->code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(worker->running.size(), 1u);
}

TEST_F(Limited, AFullQueueInAllRefusesWithAHint) {
  config_.limits.queue_total = 3;
  add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(submit(caller("a"), sample())->done());
  EXPECT_THAT(submit(caller("a"), sample())->message(), HasSubstr("queue_total"));
  EXPECT_EQ(core().status().jobs.refused, 1u);
}

TEST_F(Limited, WhatOneWorkerCannotHoldWaitsByPriorityThenFairnessThenAge) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "full.safetensors").ok());
  for (std::uint32_t i = 0; i < kJobsPerWorker; ++i) submit(caller("a"), sample());
  ASSERT_EQ(worker->running.size(), kJobsPerWorker);
  auto older_of_a = submit(caller("a"), sample());
  auto of_b = submit(caller("b"), sample());
  Caller urgent = caller("a");
  urgent.priority = Priority::kInteractive;
  auto urgent_of_a = submit(urgent, sample());
  EXPECT_EQ(core().status().jobs.queued, 3u);
  for (const auto& next : {urgent_of_a, of_b, older_of_a}) {
    worker->finish(worker->running.front().first.id, sampled(0));
    EXPECT_EQ(worker->running.back().first.id, next->id);
  }
}

TEST_F(Limited, AJobGoesToTheLeastLoadedWorkerButPrefersOneThatHasTheModels) {
  auto one = add_worker(1);
  auto two = add_worker(2);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "other.safetensors").ok());
  submit(caller("a"), sample());
  EXPECT_EQ(one->running.size(), 1u);
  submit(caller("b"), sample());
  EXPECT_EQ(two->running.size(), 1u) << "neither has it: the idle one takes it";
  submit(caller("b"), sample());
  EXPECT_EQ(two->running.size(), 2u) << "two has it: loading it twice is not worth one job's lead";
  for (int i = 0; i < 8; ++i) submit(caller("b"), sample());
  EXPECT_GT(one->running.size(), 1u) << "a long queue is worth a second copy";
}

TEST_F(Limited, AModelThatAReportNamesCountsAsLoaded) {
  auto one = add_worker(1);
  auto two = add_worker(2);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  WorkerReport report;
  report.models.push_back({.paths = {path_of("checkpoints/full.safetensors")}});
  core().worker_report(WorkerId{2}, report);
  submit(caller("a"), sample());
  EXPECT_EQ(two->running.size(), 1u);
}

Result<JobReply> freed(std::uint64_t bytes) {
  UnloadModelReply reply;
  reply.freed_bytes = bytes;
  return JobReply(std::move(reply));
}

TEST_F(Limited, UnloadReachesEveryWorkerAndAddsUpWhatWasFreed) {
  std::vector<std::shared_ptr<FakeWorker>> workers = {add_worker(1), add_worker(2)};
  for (auto& worker : workers) {
    worker->answer = [](const Job&) { return freed(100); };
  }
  auto call = submit({}, UnloadModelRequest{"full.safetensors"});
  ASSERT_TRUE(call->ok()) << call->message();
  EXPECT_EQ(std::get<UnloadModelReply>(**call->result).freed_bytes, 200u);
  EXPECT_EQ(core().status().jobs.done, 1u);
}

TEST_F(Limited, UnloadCountsAWorkerThatDiesAsEmpty) {
  auto one = add_worker(1);
  auto two = add_worker(2);
  one->answer = nullptr;
  two->answer = [](const Job&) { return freed(100); };
  auto call = submit({}, UnloadModelRequest{"full.safetensors"});
  one->die();
  ASSERT_TRUE(call->ok()) << call->message();
  EXPECT_EQ(std::get<UnloadModelReply>(**call->result).freed_bytes, 100u);
}

TEST_F(Limited, InspectAndLoadGetTheFileLookedUp) {
  auto worker = add_worker(1);
  EXPECT_TRUE(submit({}, InspectModelRequest{"vae.safetensors"})->ok());
  EXPECT_EQ(std::get<InspectModelRequest>(worker->seen.at(0).request).path,
            path_of("vae/vae.safetensors"));
  EXPECT_TRUE(submit({}, LoadModelRequest{Slot::kVae, {"vae.safetensors"}})->ok());
  EXPECT_EQ(submit({}, InspectModelRequest{"none"})->code(), StatusCode::kNotFound);
}

TEST_F(Limited, LorasAreLookedUpBelowLoras) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  SampleRequest request = sample();
  request.rows[0].loras = {{"style.safetensors"}};
  submit(caller("a"), request);
  EXPECT_EQ(std::get<SampleRequest>(worker->running.at(0).first.request).rows[0].loras[0].path,
            path_of("loras/style.safetensors"));
  request.rows[0].loras = {{"stile.safetensors"}};
  auto missing = submit(caller("a"), request);
  EXPECT_EQ(missing->code(), StatusCode::kNotFound);
  EXPECT_THAT(missing->message(), HasSubstr("did you mean 'style.safetensors'"));
}

}  // namespace
}  // namespace luna::front
