// What FrontCore::status tells an operator beyond the counters that other tests follow.
#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class OperatorsView : public CoreTest {
 protected:
  WorkflowInfo workflow(const std::string& id) {
    for (WorkflowInfo& info : core().list_workflows()) {
      if (info.id == id) return std::move(info);
    }
    ADD_FAILURE() << "no workflow " << id;
    return {};
  }
  static Caller bulk(const std::string& workflow) {
    Caller bulk = caller(workflow);
    bulk.priority = Priority::kBulk;
    return bulk;
  }
  LoadedModel loaded(Slot slot, const std::string& file, std::uint64_t bytes) {
    LoadedModel model;
    model.info.slot = slot;
    model.paths = {path_of(file)};
    model.resident_bytes = bytes;
    return model;
  }
};

TEST_F(OperatorsView, QueuesAreTheWaitingJobsByPriorityAndWorkflowWithTheOldestWait) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "full.safetensors").ok());
  for (std::uint32_t i = 0; i < kJobsPerWorker; ++i) submit(caller("a"), sample());
  EXPECT_THAT(core().status().queues, IsEmpty()) << "what runs waits no more";
  submit(bulk("a"), sample());
  advance(std::chrono::seconds(2));
  submit(caller("b"), sample());
  submit(caller("b"), sample());
  advance(std::chrono::seconds(1));
  const StatusInfo status = core().status();
  ASSERT_THAT(status.queues, SizeIs(2));
  EXPECT_EQ(status.queues[0].workflow, "b");
  EXPECT_EQ(status.queues[0].priority, Priority::kNormal);
  EXPECT_EQ(status.queues[0].jobs, 2u);
  EXPECT_EQ(status.queues[0].oldest_wait_seconds, 1);
  EXPECT_EQ(status.queues[1].workflow, "a");
  EXPECT_EQ(status.queues[1].priority, Priority::kBulk);
  EXPECT_EQ(status.queues[1].jobs, 1u);
  EXPECT_EQ(status.queues[1].oldest_wait_seconds, 3);
  while (!worker->running.empty()) worker->finish_all(sampled(0));
  EXPECT_THAT(core().status().queues, IsEmpty());
}

TEST_F(OperatorsView, AJobOfADeadWorkerHasWaitedSinceItCame) {
  auto worker = add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  submit(caller("a"), sample());
  advance(std::chrono::seconds(5));
  worker->die();
  core().worker_gone(WorkerId{1}, killed());
  const StatusInfo status = core().status();
  ASSERT_THAT(status.queues, SizeIs(1));
  EXPECT_EQ(status.queues[0].oldest_wait_seconds, 5);
}

TEST_F(OperatorsView, TheFrontsOwnQuestionsAreInNoQueue) {
  core().worker_starting(WorkerId{1}, "default", 1001);
  core().register_workflow({}, "w", {.checkpoint = ModelRef{"full.safetensors"}}, 0, false,
                           [](const Result<WorkflowInfo>&) {});
  EXPECT_EQ(core().status().jobs.queued, 1u);
  EXPECT_THAT(core().status().queues, IsEmpty());
}

TEST_F(OperatorsView, ASharedModelCountsForEveryWorkflowAndForEveryWorkersCopy) {
  add_worker(1);
  add_worker(2);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("c", "other.safetensors").ok());
  EXPECT_EQ(workflow("a").model_bytes, 0u);
  WorkerReport report;
  report.models = {loaded(Slot::kUNet, "checkpoints/full.safetensors", 1000),
                   loaded(Slot::kVae, "checkpoints/full.safetensors", 100)};
  core().worker_report(WorkerId{1}, report);
  report.models.pop_back();
  core().worker_report(WorkerId{2}, report);
  EXPECT_EQ(workflow("a").model_bytes, 2100u);
  EXPECT_EQ(workflow("b").model_bytes, 2100u);
  EXPECT_EQ(workflow("c").model_bytes, 0u);
  core().worker_gone(WorkerId{2}, killed());
  EXPECT_EQ(workflow("a").model_bytes, 1100u);
}

TEST_F(OperatorsView, AWorkflowsTensorsAreCountedUntilTheyAreFreedOrTheirSessionEnds) {
  add_worker(1);
  ASSERT_TRUE(register_checkpoint("a", "full.safetensors").ok());
  ASSERT_TRUE(register_checkpoint("b", "full.safetensors").ok());
  const std::string one = core().open_session("one"), two = core().open_session("two");
  const auto put = [&](const std::string& workflow, const std::string& session, int bytes) {
    const auto kept =
        core().put_tensor(caller(workflow, session), {DType::kU8, {bytes}},
                          bytes_from(std::string(static_cast<std::size_t>(bytes), 'x')));
    return std::get<ResidentTensor>(kept->place).id;
  };
  const std::string first = put("a", one, 5);
  put("a", two, 7);
  put("b", two, 11);
  EXPECT_EQ(workflow("a").tensor_bytes, 12u);
  EXPECT_EQ(workflow("b").tensor_bytes, 11u);
  ASSERT_EQ(*core().free_tensors(caller("a", one), {first}), 5u);
  EXPECT_EQ(workflow("a").tensor_bytes, 7u);
  core().close_session(two);
  EXPECT_EQ(workflow("a").tensor_bytes, 0u);
  EXPECT_EQ(workflow("b").tensor_bytes, 0u);
  EXPECT_EQ(core().status().resident_bytes, 0u);
}

}  // namespace
}  // namespace luna::front
