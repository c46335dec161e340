// A request that ends its workers is found and refused, and takes nobody along. The fault is a real
// one: a SIGSEGV in the real worker while the request runs.
#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Poison : public testing::Test {
 protected:
  void SetUp() override {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    folder_.add_checkpoint("tiny.safetensors", 1);
    daemon_ = DaemonProcess::start(folder_.path());
    client_ = daemon_->connect();
    ASSERT_TRUE(client_);
    workflow_.emplace(register_workflow(*client_, "poison", "tiny.safetensors"));
  }

  SampleRequest request(std::uint64_t seed, int steps) {
    auto request = workflow_->request("a", "", seed);
    EXPECT_TRUE(request.ok()) << request.status().to_string();
    request->run.steps = steps;
    return *request;
  }
  /// Waits until as many jobs run in the worker itself.
  bool runs(std::uint64_t jobs) {
    return wait_until(
        [&] {
          const StatusInfo status = daemon_->status();
          return status.workers.at(0).state == "ready" &&
                 status.workers[0].report.jobs_running == jobs && status.jobs.running == jobs;
        },
        std::chrono::seconds(30));
  }
  void strike(int signal) {
    const std::vector<pid_t> workers = daemon_->worker_pids();
    ASSERT_EQ(workers.size(), 1u);
    kill(workers[0], signal);
    ASSERT_TRUE(wait_until([&] {
      const std::vector<pid_t> now = daemon_->worker_pids();
      return now.size() == 1 && now != workers;
    }));
  }

  ModelFolder folder_;
  std::unique_ptr<DaemonProcess> daemon_;
  std::unique_ptr<client::GrpcClient> client_;
  std::optional<Workflow> workflow_;
};

TEST_F(Poison, ARequestUnderWhichTwoWorkersCrashedIsRefusedAndOthersAreServed) {
  const SampleRequest poison = request(1, 10000);
  auto answer = workflow_->start(poison);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(runs(1)) << daemon_->log();
    strike(SIGSEGV);
  }
  const Status refusal = answer.wait().status();
  EXPECT_EQ(refusal.code(), StatusCode::kFailedPrecondition) << refusal.to_string();
  EXPECT_THAT(refusal.message(), HasSubstr("this request ended two workers (killed by signal 11"));
  EXPECT_EQ(workflow_->sample(poison).status().code(), StatusCode::kFailedPrecondition);
  const auto served = workflow_->sample(request(2, 4));
  EXPECT_TRUE(served.ok()) << served.status().to_string();
  const StatusInfo status = daemon_->status();
  EXPECT_EQ(status.workers.at(0).restarts, 2u);
  EXPECT_THAT(status.workers[0].last_exit, StartsWith("crash: killed by signal 11"));
}

TEST_F(Poison, InnocentNeighboursGetTheirPicturesAndOnlyTheGuiltyOneIsRefused) {
  std::vector<SampleReply> undisturbed;
  for (int i = 0; i < 3; ++i) {
    auto reply = workflow_->sample(request(i, 40));
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    undisturbed.push_back(*reply);
  }
  std::atomic<int> begun = 0;
  std::vector<Answer<SampleReply>> innocents;
  for (int i = 0; i < 3; ++i) {
    innocents.push_back(workflow_->start(request(i, 40), [&](const SampleProgress& progress) {
      if (progress.step == 1) ++begun;
    }));
  }
  auto guilty = workflow_->start(request(666, 10000), [&](const SampleProgress& progress) {
    if (progress.step == 1) ++begun;
  });
  ASSERT_TRUE(wait_until([&] { return begun == 4; }));
  strike(SIGSEGV);
  for (int i = 0; i < 3; ++i) {
    auto reply = innocents[i].wait();
    ASSERT_TRUE(reply.ok()) << reply.status().to_string() << "\n" << daemon_->log();
    EXPECT_LT(relative_error(*reply, undisturbed[i]), 1e-4) << "request " << i;
  }
  EXPECT_FALSE(guilty.arrived());
  ASSERT_TRUE(runs(1));
  strike(SIGSEGV);
  EXPECT_EQ(guilty.wait().status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(workflow_->sample(request(0, 4)).ok());
}

TEST_F(Poison, ASigkillFromOutsideNeverMakesARequestPoison) {
  const SampleRequest victim = request(1, 60);
  for (int round = 0; round < 2; ++round) {
    auto answer = workflow_->start(victim);
    for (int i = 0; i < 2 && !answer.arrived(); ++i) {
      wait_until([&] { return answer.arrived() || daemon_->status().jobs.running == 1; });
      strike(SIGKILL);
    }
    const auto reply = answer.wait();
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
  }
  EXPECT_THAT(daemon_->status().workers.at(0).last_exit, StartsWith("killed from outside"));
}

}  // namespace
}  // namespace luna::support
