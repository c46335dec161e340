// Roles on workers of their own, and workers that come and go with the load.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

Result<SampleReply> sampled(Workflow& workflow, int steps = 3) {
  LUNA_ASSIGN_OR_RETURN(SampleRequest request, workflow.request("a blue boat", "", 7));
  request.run.steps = steps;
  return workflow.sample(std::move(request));
}

/// Every model is in one pool's workers, as (pool, slot).
std::set<std::pair<std::string, Slot>> places(const StatusInfo& status) {
  std::set<std::pair<std::string, Slot>> found;
  for (const WorkerInfo& worker : status.workers) {
    for (const LoadedModel& model : worker.report.models) {
      found.emplace(worker.pool, model.info.slot);
    }
  }
  return found;
}

TEST(PoolsOfRoles, ASplitDaemonHasEncodersApartAndDrawsTheSamePicture) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  SampleReply full;
  {
    auto daemon = DaemonProcess::start(folder.path(), {.extra_toml = "[[pool]]\nthreads = 1\n"});
    auto client = daemon->connect();
    ASSERT_TRUE(client);
    Workflow workflow = register_workflow(*client, "full", "tiny.safetensors");
    const auto reply = sampled(workflow);
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    full = *reply;
  }
  auto daemon = DaemonProcess::start(
      folder.path(),
      {.extra_toml = "[[pool]]\npreset = \"split\"\ndevices = [\"cpu\", \"cpu\"]\nthreads = 1\n"});
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "split", "tiny.safetensors");
  const auto split = sampled(workflow);
  ASSERT_TRUE(split.ok()) << split.status().to_string();
  EXPECT_LE(relative_error(*split, full), 1e-6);
  ASSERT_TRUE(workflow.decode(split->latents[0]).ok());

  const std::set<std::pair<std::string, Slot>> expected = {{"default-text", Slot::kClipL},
                                                           {"default-image", Slot::kUNet},
                                                           {"default-image", Slot::kVae}};
  EXPECT_TRUE(wait_until([&] { return places(daemon->status()) == expected; }));
}

TEST(PoolsOfRoles, AWorkerThatNobodyNeedsEndsAndComesBackWithoutReadingFiles) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(
      folder.path(), {.extra_toml = "[[pool]]\nmin_workers = 0\nscale_down_idle_seconds = 1\n",
                      .wait_for_worker = false});
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  EXPECT_TRUE(daemon->status().workers.empty());
  Workflow workflow = register_workflow(*client, "sleepy", "tiny.safetensors");
  const auto before = sampled(workflow);
  ASSERT_TRUE(before.ok()) << before.status().to_string() << daemon->log();

  EXPECT_TRUE(wait_until([&] { return daemon->status().workers.empty(); })) << daemon->log();
  EXPECT_TRUE(wait_until([&] { return daemon->worker_pids().empty(); }));
  const auto after = sampled(workflow);
  ASSERT_TRUE(after.ok()) << after.status().to_string() << daemon->log();
  EXPECT_EQ(relative_error(*after, *before), 0.0);
  EXPECT_GE(daemon->status().host_copy_hits, 2u) << "text encoder and UNet";
}

TEST(PoolsOfRoles, UnderLoadAPoolGrowsToItsLimitAndShrinksAgain) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(
      folder.path(), {.extra_toml = "[[pool]]\ndevices = [\"cpu\"]\nmax_workers = 2\n"
                                    "scale_up_jobs = 2\nscale_up_wait_ms = 0\n"
                                    "scale_down_idle_seconds = 1\n"});
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "grows", "tiny.safetensors");
  auto request = workflow.request("a blue boat", "", 7);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 10000;
  std::vector<Answer<SampleReply>> endless;
  for (int i = 0; i < 8; ++i) endless.push_back(workflow.start(*request));
  const auto ready = [&] {
    const StatusInfo status = daemon->status();
    return std::ranges::count(status.workers, "ready", &WorkerInfo::state);
  };
  EXPECT_TRUE(wait_until([&] { return ready() == 2; }, std::chrono::seconds(60)));
  ASSERT_EQ(daemon->status().pools.size(), 1u);
  EXPECT_EQ(daemon->status().pools[0].max_workers, 2u);
  client.reset();  // ends its requests
  EXPECT_TRUE(
      wait_until([&] { return daemon->status().workers.size() == 1; }, std::chrono::seconds(60)));
}

}  // namespace
}  // namespace luna::support
