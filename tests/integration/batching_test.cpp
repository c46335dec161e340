// Requests of different seeds, steps, samplers and scales share forwards, and do not feel each
// other.
#include <mutex>

#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

std::uint64_t unet_forwards(const StatusInfo& status) {
  std::uint64_t forwards = 0;
  for (const WorkerInfo& worker : status.workers) {
    const auto found = worker.report.forwards.find("unet");
    if (found != worker.report.forwards.end()) forwards += found->second.forwards;
  }
  return forwards;
}

/// The status is as old as the last heartbeat: waits until it has seen `jobs` jobs end.
StatusInfo status_after(DaemonProcess& daemon, std::uint64_t jobs) {
  StatusInfo status;
  EXPECT_TRUE(wait_until([&] {
    status = daemon.status();
    std::uint64_t done = 0;
    for (const WorkerInfo& worker : status.workers) done += worker.report.jobs_done;
    return done >= jobs;
  })) << "the workers' reports never showed "
      << jobs << " finished jobs";
  return status;
}

std::uint64_t jobs_done(const StatusInfo& status) {
  std::uint64_t done = 0;
  for (const WorkerInfo& worker : status.workers) done += worker.report.jobs_done;
  return done;
}

TEST(Batching, EightDifferentRequestsNeedFewerThanHalfTheForwardsOfEightInTurn) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "batching", "tiny.safetensors");

  const std::vector<std::string> samplers = {"euler", "heun",         "dpmpp_2m", "euler_ancestral",
                                             "ddim",  "dpmpp_2m_sde", "lcm",      "uni_pc"};
  std::vector<SampleRequest> requests;
  for (int i = 0; i < 8; ++i) {
    auto request = workflow.request("a red house number " + std::to_string(i), "", 100 + i);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request->run.sampler = samplers[i];
    request->run.steps = 14 + i;
    request->rows[0].guidance.cfg = 2.0 + i;
    requests.push_back(*request);
  }

  const StatusInfo before = status_after(*daemon, 16);
  std::vector<SampleReply> alone;
  for (const SampleRequest& request : requests) {
    auto reply = workflow.sample(request);
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    alone.push_back(*reply);
  }
  const StatusInfo between = status_after(*daemon, jobs_done(before) + 8);

  std::vector<Answer<SampleReply>> answers;
  for (const SampleRequest& request : requests) answers.push_back(workflow.start(request));
  for (int i = 0; i < 8; ++i) {
    auto together = answers[i].wait();
    ASSERT_TRUE(together.ok()) << together.status().to_string();
    EXPECT_LT(relative_error(*together, alone[i]), 1e-4) << samplers[i];
  }
  const StatusInfo after = status_after(*daemon, jobs_done(between) + 8);

  const std::uint64_t in_turn = unet_forwards(between) - unet_forwards(before);
  const std::uint64_t at_once = unet_forwards(after) - unet_forwards(between);
  EXPECT_GT(in_turn, 8u * 14u - 1);
  EXPECT_LT(2 * at_once, in_turn) << at_once << " forwards together, " << in_turn << " in turn";
}

TEST(Batching, ProgressSaysHowManyRowsTheForwardServed) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "progress", "tiny.safetensors");
  auto request = workflow.request("a", "b", 1);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 5;
  std::mutex mutex;
  std::vector<SampleProgress> seen;
  auto answer = workflow.start(*request, [&](const SampleProgress& progress) {
    std::lock_guard lock(mutex);
    seen.push_back(progress);
  });
  ASSERT_TRUE(answer.wait().ok());
  std::lock_guard lock(mutex);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().step, 5);
  for (const SampleProgress& progress : seen) {
    EXPECT_EQ(progress.steps, 5);
    EXPECT_EQ(progress.rows_in_batch, 2) << "both signs of one row";
  }
}

}  // namespace
}  // namespace luna::support
