// A process may die at any instant; what can be run again is, and nothing is left behind.
#include <algorithm>
#include <atomic>

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

TEST(Crash, KillingTheWorkerInTheMiddleOfEightRequestsLosesNoneOfThem) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "crash", "tiny.safetensors");
  std::vector<SampleRequest> requests;
  std::vector<SampleReply> undisturbed;
  for (int i = 0; i < 8; ++i) {
    auto request = workflow.request("picture " + std::to_string(i), "", i);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request->run.steps = 60;
    auto reply = workflow.sample(*request);
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    requests.push_back(*request);
    undisturbed.push_back(*reply);
  }

  std::atomic<int> steps = 0;
  std::vector<Answer<SampleReply>> answers;
  for (const SampleRequest& request : requests) {
    answers.push_back(workflow.start(request, [&](const SampleProgress&) { ++steps; }));
  }
  ASSERT_TRUE(wait_until([&] { return steps > 20; }));
  const std::vector<pid_t> workers = daemon->worker_pids();
  ASSERT_EQ(workers.size(), 1u);
  kill(workers[0], SIGKILL);

  for (int i = 0; i < 8; ++i) {
    auto reply = answers[i].wait();
    ASSERT_TRUE(reply.ok()) << reply.status().to_string() << "\n" << daemon->log();
    EXPECT_LT(relative_error(*reply, undisturbed[i]), 1e-4) << "request " << i;
  }
  const StatusInfo status = daemon->status();
  ASSERT_EQ(status.workers.size(), 1u);
  EXPECT_EQ(status.workers[0].restarts, 1u);
  EXPECT_EQ(status.workers[0].last_exit, "killed from outside: killed by signal 9 (Killed)");
  EXPECT_GE(status.jobs.rerun, 1u);
  EXPECT_FALSE(status.events.empty());
}

TEST(Crash, KillingTheDaemonTakesItsWorkersAlongAndARestartWorks) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "crash", "tiny.safetensors");
  auto request = workflow.request("a", "", 1);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 10000;
  request->run.sampler = "euler";
  std::atomic<int> steps = 0;
  auto answer = workflow.start(*request, [&](const SampleProgress&) { ++steps; });
  ASSERT_TRUE(wait_until([&] { return steps > 0; }));

  ASSERT_TRUE(wait_until([&] { return daemon->child_pids().size() == 2; }))
      << "a worker and a spare one";
  const std::vector<pid_t> children = daemon->child_pids();
  daemon->send(SIGKILL);
  EXPECT_EQ(daemon->wait_for_exit(std::chrono::seconds(5)), 128 + SIGKILL);
  EXPECT_TRUE(wait_until([&] { return std::ranges::none_of(children, process_exists); },
                         std::chrono::seconds(2)))
      << "a worker outlived its front by more than two seconds";
  EXPECT_EQ(answer.wait().status().code(), StatusCode::kUnavailable);

  auto again = DaemonProcess::start(folder.path());
  auto second_client = again->connect();
  ASSERT_TRUE(second_client);
  Workflow after = register_workflow(*second_client, "crash", "tiny.safetensors");
  EXPECT_TRUE(after.encode("it works").ok());
}

TEST(Crash, SigtermFinishesWhatRunsAndExitsWithZero) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "drain", "tiny.safetensors");
  auto request = workflow.request("a", "", 1);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 60;
  std::atomic<int> steps = 0;
  auto answer = workflow.start(*request, [&](const SampleProgress&) { ++steps; });
  ASSERT_TRUE(wait_until([&] { return steps > 0; }));
  const std::vector<pid_t> workers = daemon->worker_pids();
  daemon->send(SIGTERM);
  auto reply = answer.wait();
  EXPECT_TRUE(reply.ok()) << reply.status().to_string();
  client.reset();
  EXPECT_EQ(daemon->wait_for_exit(std::chrono::seconds(30)), 0) << daemon->log();
  for (pid_t worker : workers) EXPECT_FALSE(process_exists(worker));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "lunad.sock"));
}

TEST(Crash, AClientThatVanishesLeavesNothingRunningAndNothingKept) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  {
    auto client = daemon->connect();
    ASSERT_TRUE(client);
    Workflow workflow = register_workflow(*client, "vanish", "tiny.safetensors");
    const std::vector<float> values(16, 1.0f);
    ASSERT_TRUE(client->upload("vanish", tensor_of({4, 4}, values)).ok());
    auto request = workflow.request("a", "", 1);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request->run.steps = 10000;
    std::atomic<int> steps = 0;
    auto answer = workflow.start(*request, [&](const SampleProgress&) { ++steps; });
    ASSERT_TRUE(wait_until([&] { return steps > 0; }));
    EXPECT_EQ(daemon->status().resident_tensors, 1u);
  }
  EXPECT_TRUE(wait_until([&] {
    const StatusInfo status = daemon->status();
    return status.resident_tensors == 0 && status.jobs.running == 0;
  }));
}

}  // namespace
}  // namespace luna::support
