// Weights outlive the worker that read them, and are there once for all workers.
#include <algorithm>
#include <csignal>
#include <functional>

#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

SampleReply sampled(Workflow& workflow, DaemonProcess& daemon) {
  auto request = workflow.request("a blue boat", "", 7);
  EXPECT_TRUE(request.ok()) << request.status().to_string();
  if (!request.ok()) return {};
  request->run.steps = 3;
  auto reply = workflow.sample(*request);
  EXPECT_TRUE(reply.ok()) << reply.status().to_string() << "\n" << daemon.log();
  return reply.ok() ? *reply : SampleReply();
}

TEST(HostCopies, ARestartedWorkerTakesItsWeightsFromTheFrontAndReadsNoFile) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "restart", "tiny.safetensors");
  const SampleReply before = sampled(workflow, *daemon);
  const StatusInfo first = daemon->status();
  EXPECT_EQ(first.host_copies, 2u) << "UNet and text encoder; nobody asked for the VAE";
  EXPECT_EQ(first.host_copy_hits, 0u);

  const std::vector<pid_t> workers = daemon->worker_pids();
  ASSERT_EQ(workers.size(), 1u);
  ::kill(workers[0], SIGKILL);
  ASSERT_TRUE(wait_until([&] { return !process_exists(workers[0]); }));
  const SampleReply after = sampled(workflow, *daemon);
  ASSERT_EQ(after.latents.size(), 1u);
  EXPECT_EQ(relative_error(after, before), 0.0);
  const StatusInfo second = daemon->status();
  EXPECT_EQ(second.host_copies, 2u);
  EXPECT_GE(second.host_copy_hits, 2u) << "text encoder and UNet of the second run";
}

TEST(HostCopies, AFileThatIsReplacedUnderTheSameNameIsReadAnew) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "replaced", "tiny.safetensors");
  const SampleReply before = sampled(workflow, *daemon);
  folder.add_checkpoint("tiny.safetensors", 2);
  const SampleReply after = sampled(workflow, *daemon);
  ASSERT_EQ(after.latents.size(), 1u);
  EXPECT_GT(relative_error(after, before), 0.01);
  EXPECT_EQ(daemon->status().host_copy_hits, 0u);
}

TEST(HostCopies, TwoWorkersOfOneMachineShareThePagesOfTheirWeights) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(
      folder.path(), {.extra_toml = "[[pool]]\nmin_workers = 2\ndevices = [\"cpu\"]\n"});
  const auto both = [&](const std::function<bool(const WorkerInfo&)>& condition) {
    const StatusInfo status = daemon->status();
    return std::ranges::count_if(status.workers, condition) == 2;
  };
  ASSERT_TRUE(wait_until(
      [&] { return both([](const WorkerInfo& worker) { return worker.state == "ready"; }); }));
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "two", "tiny.safetensors");
  sampled(workflow, *daemon);  // one worker has read the file

  auto request = workflow.request("a blue boat", "", 7);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 10000;
  std::vector<Answer<SampleReply>> endless;
  for (int i = 0; i < 16; ++i) endless.push_back(workflow.start(*request));
  const auto runs_the_unet = [](const WorkerInfo& worker) {
    return std::ranges::any_of(worker.report.models, [](const LoadedModel& model) {
      return model.info.slot == Slot::kUNet;
    });
  };
  EXPECT_TRUE(wait_until([&] { return both(runs_the_unet); }, std::chrono::seconds(60)));
  client.reset();  // ends its requests
  const StatusInfo status = daemon->status();
  EXPECT_EQ(status.host_copies, 2u) << "each component once";
  EXPECT_GE(status.host_copy_hits, 1u) << "the second worker took it from the first one's reading";
}

}  // namespace
}  // namespace luna::support
