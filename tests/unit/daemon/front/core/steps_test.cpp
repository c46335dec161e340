// Step sockets: to whom they lead, and what ends them.
#include <sys/socket.h>

#include "common/local/socket.h"
#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

/// Whether what one end says arrives at the other.
bool connected(int from, int to) {
  char byte = 'x';
  return ::send(from, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 &&
         ::recv(to, &byte, 1, MSG_DONTWAIT) == 1;
}

class StepSocketsOfTheFront : public CoreTest {
 protected:
  void SetUp() override {
    worker_ = add_worker(1);
    ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
    session_ = core().open_session("test");
  }
  Result<UniqueFd> open(const std::vector<std::string>& loras = {}) {
    return core().open_steps(caller("w", session_), loras);
  }
  void report(std::map<std::uint64_t, std::uint64_t> evaluations) {
    WorkerReport report;
    report.step_evaluations = std::move(evaluations);
    core().worker_report(WorkerId{1}, std::move(report));
  }
  /// The client's word no longer reaches the worker, whose answer still reaches the client.
  void expect_ended_after_an_answer(const UniqueFd& client) {
    const int worker = worker_->steps.at(0).second.get();
    EXPECT_FALSE(connected(client.get(), worker));
    EXPECT_TRUE(connected(worker, client.get()));
    EXPECT_EQ(core().status().step_sockets, 0u);
  }

  std::shared_ptr<FakeWorker> worker_;
  std::string session_;
};

TEST_F(StepSocketsOfTheFront, LeadToAWorkerThatIsToldWhatItServes) {
  const auto client = open({"style.safetensors"});
  ASSERT_TRUE(client.ok()) << client.status().to_string();
  ASSERT_THAT(worker_->steps, SizeIs(1));
  const auto& [opening, socket] = worker_->steps.front();
  EXPECT_EQ(opening.workflow, "w");
  EXPECT_EQ(opening.models.slots.at(Slot::kUNet).path, path_of("checkpoints/full.safetensors"));
  EXPECT_EQ(opening.lora_files.at("style.safetensors"), path_of("loras/style.safetensors"));
  EXPECT_TRUE(connected(client->get(), socket.get()));
  EXPECT_TRUE(connected(socket.get(), client->get()));
  EXPECT_EQ(core().status().step_sockets, 1u);
  EXPECT_EQ(core().status().jobs.accepted, 0u);
}

TEST_F(StepSocketsOfTheFront, AreRefusedAsTheCallWouldBe) {
  EXPECT_EQ(core().open_steps(caller("other", session_), {}).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(core().open_steps(caller("w"), {}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(open({"absent.safetensors"}).status().code(), StatusCode::kNotFound);
  RequestedModels vae;
  vae.slots[Slot::kVae] = {"vae.safetensors"};
  ASSERT_TRUE(register_workflow("v", vae).ok());
  EXPECT_THAT(core().open_steps(caller("v", session_), {}).status().message(),
              HasSubstr("needs the slot unet"));
  worker_->die();
  core().worker_gone(WorkerId{1}, killed());
  EXPECT_EQ(open().status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(worker_->steps, SizeIs(0));
}

TEST_F(StepSocketsOfTheFront, AreFiniteForEachSession) {
  std::vector<UniqueFd> open_ones;
  for (std::uint32_t i = 0; i < config_.limits.step_sockets_per_session; ++i)
    open_ones.push_back(open().value());
  EXPECT_EQ(open().status().code(), StatusCode::kResourceExhausted);
  core().worker_steps_ended(WorkerId{1}, worker_->steps.front().first.id, 0);
  EXPECT_TRUE(open().ok());
  EXPECT_TRUE(core().open_steps(caller("w", core().open_session("other")), {}).ok());
}

TEST_F(StepSocketsOfTheFront, EndWhenTheSetIsReplacedByAnother) {
  const UniqueFd client = open().value();
  ASSERT_TRUE(register_checkpoint("w", "full.safetensors").ok());
  EXPECT_EQ(core().status().step_sockets, 1u) << "the same set again";
  ASSERT_TRUE(register_checkpoint("w", "other.safetensors").ok());
  expect_ended_after_an_answer(client);
}

TEST_F(StepSocketsOfTheFront, EndWhenTheWorkflowIsReleased) {
  const UniqueFd client = open().value();
  ASSERT_TRUE(core().release_workflow("w").ok());
  expect_ended_after_an_answer(client);
}

TEST_F(StepSocketsOfTheFront, EndWithTheLeaseWhichLastsWhileTheyAreUsed) {
  const UniqueFd client = open().value();
  const std::uint64_t id = worker_->steps.front().first.id.value;
  const auto most = std::chrono::seconds(config_.limits.default_ttl_seconds - 1);
  for (std::uint64_t evaluations = 1; evaluations < 4; ++evaluations) {
    advance(most);
    report({{id, evaluations}});
    core().tick();
  }
  EXPECT_EQ(core().status().step_sockets, 1u);
  EXPECT_EQ(core().status().step_evaluations, 3u);
  advance(most);
  report({{id, 3}});
  advance(std::chrono::seconds(2));
  core().tick();
  expect_ended_after_an_answer(client);
}

TEST_F(StepSocketsOfTheFront, EndAtOnceWithTheirSession) {
  const UniqueFd client = open().value();
  core().close_session(session_);
  const int worker = worker_->steps.at(0).second.get();
  EXPECT_FALSE(connected(client.get(), worker));
  EXPECT_FALSE(connected(worker, client.get())) << "nobody is there for an answer";
}

TEST_F(StepSocketsOfTheFront, EndWithTheirWorker) {
  const UniqueFd client = open().value();
  worker_->steps.clear();
  core().worker_gone(WorkerId{1}, killed());
  char byte = 0;
  EXPECT_EQ(::recv(client.get(), &byte, 1, MSG_DONTWAIT), 0);
  EXPECT_EQ(core().status().step_sockets, 0u);
}

TEST_F(StepSocketsOfTheFront, EndWhenTheDaemonStops) {
  const UniqueFd client = open().value();
  core().drain({});
  expect_ended_after_an_answer(client);
  EXPECT_EQ(open().status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(StepSocketsOfTheFront, KeepTheCountOfWhatWasEvaluatedBeyondTheirEnd) {
  const UniqueFd client = open().value();
  const StepsId id = worker_->steps.front().first.id;
  report({{id.value, 5}});
  report({{id.value, 5}, {77, 9}});
  EXPECT_EQ(core().status().step_evaluations, 5u) << "nothing twice, nothing of strangers";
  core().worker_steps_ended(WorkerId{1}, id, 8);
  core().worker_steps_ended(WorkerId{1}, id, 9);
  EXPECT_EQ(core().status().step_evaluations, 8u);
  EXPECT_EQ(core().status().step_sockets, 0u);
}

}  // namespace
}  // namespace luna::front
