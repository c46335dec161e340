// The counters behind the benchmarks of disturbance (tests/bench): what one client does to the
// others.
#include <algorithm>
#include <atomic>

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

TEST(Disturbance, AnInteractivePictureGoesBeforeTheRowsOfABulkJobThatCameFirst) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect(), bulk_client = daemon->connect();
  ASSERT_TRUE(client && bulk_client);
  // One workflow for both: its fair share cannot be what helps the interactive call.
  Workflow interactive = register_workflow(*client, "shared", "tiny.safetensors");
  Workflow bulk(*bulk_client, "shared");
  interactive.options().priority = Priority::kInteractive;
  bulk.options().priority = Priority::kBulk;

  auto job = bulk.request("a blue boat", "", 1);
  ASSERT_TRUE(job.ok()) << job.status().to_string();
  job->rows.resize(64, job->rows[0]);
  for (std::size_t i = 0; i < job->rows.size(); ++i) job->rows[i].noise.seed = i;
  job->run.steps = 10000;
  std::atomic<int> bulk_steps = 0;
  auto endless =
      bulk.start(*job, [&](const SampleProgress& progress) { bulk_steps = progress.step; });
  ASSERT_TRUE(wait_until([&] { return bulk_steps >= 1; }, std::chrono::seconds(60)));

  const int before = bulk_steps;
  auto request = interactive.request("a red fox", "", 7);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 20;
  auto reply = interactive.sample(*request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  auto decoded = interactive.decode(reply->latents[0]);
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();

  // A step of the bulk job is 128 rows. Each of the four interactive calls waits for one short
  // forward of them, and few join the twenty interactive forwards.
  EXPECT_LE(bulk_steps - before, 1) << "bulk rows went before interactive ones";
  EXPECT_FALSE(endless.arrived());
  bulk_client.reset();
  EXPECT_EQ(endless.wait().status().code(), StatusCode::kCancelled);
}

TEST(Disturbance, FourClientsOnTwoWorkersLoseNoRequestWhenBothWorkersAreKilledUnderThem) {
  ModelFolder folder;
  folder.add_checkpoint("first.safetensors", 1);
  folder.add_checkpoint("second.safetensors", 2);
  auto daemon = DaemonProcess::start(
      folder.path(), {.extra_toml = "[[pool]]\ndevices = [\"cpu\"]\nmin_workers = 2\n"});
  std::vector<std::unique_ptr<client::GrpcClient>> clients;
  std::vector<Workflow> workflows;
  std::vector<SampleRequest> requests;
  std::vector<SampleReply> undisturbed;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(daemon->connect());
    ASSERT_TRUE(clients.back());
    workflows.push_back(register_workflow(*clients.back(), "kills-" + std::to_string(i),
                                          i % 2 ? "second.safetensors" : "first.safetensors"));
    auto request = workflows.back().request("picture " + std::to_string(i), "", i);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request->run.steps = 40;
    auto reply = workflows.back().sample(*request);
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    requests.push_back(*request);
    undisturbed.push_back(*reply);
  }

  // Each worker in its turn, when all clients' calls are under way.
  std::vector<std::vector<Answer<SampleReply>>> answers(2);
  for (int kill_number = 0; kill_number < 2; ++kill_number) {
    const auto both_ready = [&] {
      const StatusInfo status = daemon->status();
      return std::ranges::count(status.workers, "ready", &WorkerInfo::state) == 2;
    };
    ASSERT_TRUE(wait_until(both_ready, std::chrono::seconds(60)));
    std::vector<std::shared_ptr<std::atomic<int>>> steps;
    for (int i = 0; i < 4; ++i) {
      steps.push_back(std::make_shared<std::atomic<int>>(0));
      answers[kill_number].push_back(workflows[i].start(
          requests[i], [count = steps.back()](const SampleProgress&) { ++*count; }));
    }
    ASSERT_TRUE(wait_until(
        [&] { return std::ranges::all_of(steps, [](const auto& count) { return *count > 0; }); }));
    const StatusInfo status = daemon->status();
    const WorkerInfo& victim = status.workers.at(kill_number);
    ASSERT_EQ(::kill(static_cast<pid_t>(victim.pid), SIGKILL), 0);
    for (int i = 0; i < 4; ++i) {
      auto reply = answers[kill_number][i].wait();
      ASSERT_TRUE(reply.ok()) << reply.status().to_string() << "\n" << daemon->log();
      EXPECT_LT(relative_error(*reply, undisturbed[i]), 1e-4) << "client " << i;
    }
  }
  const StatusInfo status = daemon->status();
  EXPECT_EQ(status.jobs.failed, 0u);
  EXPECT_GE(status.jobs.rerun, 1u);
  for (const WorkerInfo& worker : status.workers) EXPECT_EQ(worker.restarts, 1u);
}

TEST(Disturbance, CallsBeyondTheQueueAreRefusedWithAHintAndOthersGoOn) {
  constexpr int kQueue = 4, kBeyond = 40;
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(
      folder.path(),
      {.extra_toml = "[limits]\nqueue_per_workflow = " + std::to_string(kQueue) + "\n"});
  auto client = daemon->connect(), other_client = daemon->connect();
  ASSERT_TRUE(client && other_client);
  Workflow workflow = register_workflow(*client, "overload", "tiny.safetensors");
  Workflow other = register_workflow(*other_client, "other", "tiny.safetensors");
  auto request = workflow.request("a blue boat", "", 1);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 4;
  SampleRequest endless = *request;
  endless.run.steps = 10000;
  const JobTotals before = daemon->status().jobs;

  std::vector<Answer<SampleReply>> full(kQueue);
  std::vector<std::shared_ptr<client::CallHandle>> handles;
  for (Answer<SampleReply>& answer : full) {
    handles.push_back(
        client->sample(workflow.options(), endless, [](const SampleProgress&) {}, answer.done()));
  }
  ASSERT_TRUE(
      wait_until([&] { return daemon->status().jobs.accepted == before.accepted + kQueue; }));
  std::vector<Answer<SampleReply>> beyond;
  for (int i = 0; i < kBeyond; ++i) beyond.push_back(workflow.start(*request));
  for (const Answer<SampleReply>& answer : beyond) {
    const Status status = answer.wait().status();
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.to_string();
    EXPECT_NE(status.message().find("retry in "), std::string::npos) << status.to_string();
  }
  auto neighbour = other.sample(*request);
  EXPECT_TRUE(neighbour.ok()) << neighbour.status().to_string();

  for (const auto& handle : handles) handle->cancel();
  for (const Answer<SampleReply>& answer : full)
    EXPECT_EQ(answer.wait().status().code(), StatusCode::kCancelled);
  ASSERT_TRUE(
      wait_until([&] { return daemon->status().jobs.cancelled == before.cancelled + kQueue; }));
  std::vector<Answer<SampleReply>> accepted;
  for (int i = 0; i < kQueue; ++i) accepted.push_back(workflow.start(*request));
  for (const Answer<SampleReply>& answer : accepted) {
    auto reply = answer.wait();
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
  }
  const JobTotals after = daemon->status().jobs;
  EXPECT_EQ(after.refused, before.refused + kBeyond);
  EXPECT_EQ(after.accepted, before.accepted + kQueue + 1 + kQueue);
  EXPECT_EQ(after.done, before.done + 1 + kQueue);
  EXPECT_EQ(after.failed, 0u);
}

}  // namespace
}  // namespace luna::support
