// Requests that end their workers: found, refused, and never at the cost of the others.
#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t kPoison = 666;

class Poison : public CoreTest {
 protected:
  void SetUp() override {
    worker_ = add_worker(1);
    ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  }

  /// The worker dies with all that it has, and is started again.
  bool die(const WorkerEnd& end) {
    worker_->die();
    const bool convicted = core().worker_gone(WorkerId{1}, end);
    worker_ = add_worker(1);
    return convicted;
  }
  /// Plays a worker that dies under the poison, until nothing is left to run.
  void play() {
    for (int turns = 0; !worker_->running.empty() && turns < 100; ++turns) {
      const bool poisoned = std::ranges::any_of(
          worker_->running, [](const auto& one) { return seed_of(one.first) == kPoison; });
      if (poisoned) {
        ++deaths_;
        die(crash());
      } else {
        worker_->finish(worker_->running.front().first.id, sampled(1));
      }
    }
  }
  /// The job that its worker has had longest ends well.
  static void finish_one(FakeWorker& worker) {
    worker.finish(worker.running.at(0).first.id, sampled(1));
  }
  /// Two workers with a job each; that of the first is suspected, and the first stays down.
  void leave_a_suspect_to(FakeWorker& busy) {
    ASSERT_TRUE(register_checkpoint("o", "other.safetensors").ok());
    suspect_ = submit(caller("w"), sample(1));
    submit(caller("o"), sample(2));
    ASSERT_EQ(worker_->running.size(), 1u);
    ASSERT_EQ(busy.running.size(), 1u);
    worker_->die();
    core().worker_gone(WorkerId{1}, crash());
    core().worker_given_up(WorkerId{1});
  }
  bool said(const std::string& text) {
    return std::ranges::any_of(core().status().events, [&](const EventInfo& event) {
      return event.text.find(text) != std::string::npos;
    });
  }

  std::shared_ptr<FakeWorker> worker_;
  std::shared_ptr<Outcome> suspect_;
  int deaths_ = 0;
};

TEST_F(Poison, ARequestUnderWhichTwoWorkersCrashedIsRefusedWithTheReason) {
  auto call = submit(caller("w"), sample(kPoison));
  EXPECT_FALSE(die(crash("killed by signal 11 (Segmentation fault)")));
  EXPECT_FALSE(call->done());
  EXPECT_TRUE(die(crash("killed by signal 11 (Segmentation fault)")));
  EXPECT_EQ(call->code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(call->message(),
            "this request ended two workers (killed by signal 11 (Segmentation fault)); it is "
            "refused for 60 minutes");
  EXPECT_EQ(call->answers, 1);
  EXPECT_TRUE(worker_->running.empty());
  EXPECT_TRUE(said("a request of workflow 'w': this request ended two workers"));
}

TEST_F(Poison, SentAgainItIsRefusedAtOnceWhoeverSendsIt) {
  submit(caller("w"), sample(kPoison));
  play();
  ASSERT_TRUE(register_checkpoint("other", "full.safetensors").ok());
  Caller urgent = caller("other");
  urgent.priority = Priority::kInteractive;
  urgent.deadline = Deadline::after(std::chrono::hours(1));
  const auto again = submit(urgent, sample(kPoison));
  EXPECT_EQ(again->code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(worker_->running.empty());
  EXPECT_EQ(core().status().jobs.refused, 1u);
  submit(caller("w"), sample(1));
  EXPECT_EQ(worker_->running.size(), 1u) << "other requests are served";
}

TEST_F(Poison, TheRefusalExpires) {
  submit(caller("w"), sample(kPoison));
  play();
  advance(std::chrono::minutes(59));
  EXPECT_THAT(submit(caller("w"), sample(kPoison))->message(), HasSubstr("refused for 1 minute"));
  advance(std::chrono::minutes(1));
  EXPECT_FALSE(submit(caller("w"), sample(kPoison))->done());
  EXPECT_EQ(worker_->running.size(), 1u);
}

TEST_F(Poison, AKillFromOutsideNeverMakesPoison) {
  for (int round = 0; round < 5; ++round) {
    auto call = submit(caller("w"), sample(7));
    die(killed());
    die(killed());
    ASSERT_EQ(worker_->running.size(), 1u);
    worker_->finish_all(sampled(1));
    EXPECT_TRUE(call->ok());
  }
  EXPECT_EQ(fingerprints_, 0) << "nobody had to ask who they are";
}

TEST_F(Poison, NeitherADrainNorAHangMakesPoisonAndThreeRerunsHold) {
  auto drained = submit(caller("w"), sample(1));
  auto other = add_worker(2);
  die({WorkerEnd::Kind::kAsked, "exited with 0"});
  EXPECT_EQ(fingerprints_, 0);
  other->finish_all(sampled(1));
  EXPECT_TRUE(drained->ok());
  core().worker_gone(WorkerId{2}, killed());
  auto hanging = submit(caller("w"), sample(2));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(die(hang()));
  EXPECT_EQ(hanging->code(), StatusCode::kUnavailable);
  EXPECT_THAT(hanging->message(), AllOf(HasSubstr("4 workers died"), HasSubstr("no heartbeat")));
  EXPECT_FALSE(submit(caller("w"), sample(2))->done());
}

TEST_F(Poison, AnOutOfMemoryKillCountsAsAFault) {
  auto call = submit(caller("w"), sample(kPoison));
  die({WorkerEnd::Kind::kOutOfMemory, "killed by signal 9 by the kernel"});
  EXPECT_TRUE(die({WorkerEnd::Kind::kOutOfMemory, "killed by signal 9 by the kernel"}));
  EXPECT_EQ(call->code(), StatusCode::kFailedPrecondition);
}

TEST_F(Poison, AmongInnocentsTheGuiltyOneIsFoundWithOneMoreDeathAndTheOthersAreServed) {
  std::vector<std::shared_ptr<Outcome>> innocents;
  for (int i = 0; i < 4; ++i) innocents.push_back(submit(caller("w"), sample(i)));
  auto guilty = submit(caller("w"), sample(kPoison));
  for (int i = 4; i < 8; ++i) innocents.push_back(submit(caller("w"), sample(i)));
  play();
  EXPECT_EQ(deaths_, 2);
  EXPECT_EQ(guilty->code(), StatusCode::kFailedPrecondition);
  for (const auto& call : innocents) EXPECT_TRUE(call->ok()) << call->message();
  EXPECT_EQ(submit(caller("w"), sample(kPoison))->code(), StatusCode::kFailedPrecondition);
  EXPECT_FALSE(submit(caller("w"), sample(0))->done()) << "an innocent one is not held to account";
}

TEST_F(Poison, SuspectsRunOneAtATimeAndNothingElseIsGivenToTheirWorker) {
  for (int i = 0; i < 3; ++i) submit(caller("w"), sample(i));
  die(crash());
  auto unrelated = submit(caller("w"), sample(100));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(worker_->running.size(), 1u);
    EXPECT_EQ(seed_of(worker_->running[0].first), static_cast<std::uint64_t>(i));
    finish_one(*worker_);
  }
  ASSERT_EQ(worker_->running.size(), 1u);
  EXPECT_EQ(worker_->running[0].first.id, unrelated->id);
}

TEST_F(Poison, WhileAWorkerIsKeptForASuspectTheOthersGoOn) {
  submit(caller("w"), sample(1));
  submit(caller("w"), sample(2));
  auto other = add_worker(2);
  die(crash());
  const auto total = [&] { return worker_->running.size() + other->running.size(); };
  EXPECT_EQ(total(), 1u) << "one suspect at a time, on all workers";
  for (int i = 10; i < 14; ++i) submit(caller("w"), sample(i));
  EXPECT_EQ(total(), 5u);
  EXPECT_THAT((std::vector{worker_->running.size(), other->running.size()}),
              testing::UnorderedElementsAre(1u, 4u));
}

TEST_F(Poison, ASuspectWaitsForAWorkerToBecomeEmptyAndIsNotOvertakenForEver) {
  auto busy = add_worker(2);
  leave_a_suspect_to(*busy);
  auto newcomer = submit(caller("w"), sample(3));
  EXPECT_EQ(busy->running.size(), 1u) << "it is being emptied";
  finish_one(*busy);
  ASSERT_EQ(busy->running.size(), 1u);
  EXPECT_EQ(busy->running[0].first.id, suspect_->id);
  finish_one(*busy);
  ASSERT_EQ(busy->running.size(), 1u);
  EXPECT_EQ(busy->running[0].first.id, newcomer->id);
}

TEST_F(Poison, ASuspectThatIsCancelledKeepsNoWorkerFromTheOthers) {
  auto busy = add_worker(2);
  leave_a_suspect_to(*busy);
  submit(caller("w"), sample(3));
  ASSERT_EQ(busy->running.size(), 1u);
  core().cancel(suspect_->id);
  EXPECT_EQ(busy->running.size(), 2u);
}

TEST_F(Poison, AnInnocentOneIsRunAgainThreeTimesTheFirstBecauseOfItsNeighbour) {
  auto innocent = submit(caller("w"), sample(1));
  submit(caller("w"), sample(kPoison));
  die(crash());
  ASSERT_EQ(seed_of(worker_->running.at(0).first), 1u);
  die(killed());
  die(killed());
  EXPECT_FALSE(innocent->done());
  ASSERT_EQ(seed_of(worker_->running.at(0).first), 1u);
  die(killed());
  EXPECT_EQ(innocent->code(), StatusCode::kUnavailable);
  EXPECT_THAT(innocent->message(), HasSubstr("4 workers died"));
}

TEST_F(Poison, TheSameRequestSentSeveralTimesIsNoNeighbourOfItself) {
  std::vector<std::shared_ptr<Outcome>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(submit(caller("w"), sample(kPoison)));
  play();
  EXPECT_EQ(deaths_, 2);
  for (const auto& call : calls) EXPECT_EQ(call->code(), StatusCode::kFailedPrecondition);
}

TEST_F(Poison, SuspicionOutlivesTheCall) {
  auto first = submit(caller("w"), sample(kPoison));
  worker_->die();
  core().cancel(first->id);
  EXPECT_EQ(first->code(), StatusCode::kCancelled);
  core().worker_gone(WorkerId{1}, crash());
  worker_ = add_worker(1);
  submit(caller("w"), sample(1));
  auto second = submit(caller("w"), sample(kPoison));
  EXPECT_EQ(worker_->running.size(), 1u) << "it may not run beside another";
  finish_one(*worker_);
  ASSERT_EQ(worker_->running.size(), 1u);
  EXPECT_TRUE(die(crash()));
  EXPECT_EQ(second->code(), StatusCode::kFailedPrecondition);
}

TEST_F(Poison, ARunToTheEndClearsTheSuspicion) {
  for (int round = 0; round < 3; ++round) {
    auto call = submit(caller("w"), sample(5));
    EXPECT_FALSE(die(crash()));
    worker_->finish_all(Status(StatusCode::kInternal, "NaN in the latent"));
    EXPECT_EQ(call->code(), StatusCode::kInternal);
  }
}

TEST_F(Poison, AFileThatEndsWorkersWhenItIsInspectedIsRefusedToo) {
  worker_->answer = nullptr;
  std::optional<Result<WorkflowInfo>> answer;
  core().register_workflow(caller(""), "bad", {.checkpoint = ModelRef{"other.safetensors"}}, 0,
                           false, [&](Result<WorkflowInfo> info) { answer = std::move(info); });
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(worker_->running.size(), 1u);
    worker_->die();
    core().worker_gone(WorkerId{1}, crash());
    core().worker_starting(WorkerId{1}, "default", 1);
    worker_ = std::make_shared<FakeWorker>(1);
    core().worker_ready(worker_, "cpu");
  }
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(register_workflow("bad", {.checkpoint = ModelRef{"other.safetensors"}}).status().code(),
            StatusCode::kFailedPrecondition);
}

TEST_F(Poison, AJobThatAnEndedLifeOfAWorkerAnswersIsRunAgainAndNotSuspected) {
  class Slow : public FakeWorker {
   public:
    using FakeWorker::FakeWorker;
    void run(const Job&, JobEvents events) override {
      meanwhile();
      events.on_done(Status(StatusCode::kUnavailable, "its link was closed"));
    }
    std::function<void()> meanwhile;
  };
  auto slow = std::make_shared<Slow>(1);
  std::shared_ptr<FakeWorker> successor;
  slow->meanwhile = [&] {
    core().worker_gone(WorkerId{1}, crash());
    successor = add_worker(1);
  };
  core().worker_starting(WorkerId{1}, "default", 1);
  core().worker_ready(slow, "cpu");
  submit(caller("w"), sample(1));
  ASSERT_TRUE(successor);
  EXPECT_EQ(successor->running.size(), 1u);
  EXPECT_EQ(fingerprints_, 0);
}

TEST_F(Poison, WhileNothingIsSuspectedNoRequestIsReadForItsFingerprint) {
  for (int i = 0; i < 10; ++i) submit(caller("w"), sample(i));
  worker_->finish_all(sampled(1));
  EXPECT_EQ(fingerprints_, 0);
}

}  // namespace
}  // namespace luna::front
