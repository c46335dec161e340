// Roles on workers of their own, and workers that come and go with the load.
#include <algorithm>
#include <fstream>
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
  EXPECT_TRUE(wait_until([&] { return daemon->child_pids().empty(); }));
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

/// Of all mappings of a process whose name holds `name`: how large they are, and how much of them
/// it ever touched.
std::pair<std::uint64_t, std::uint64_t> mapped_and_touched_kib(pid_t pid, const std::string& name) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  std::pair<std::uint64_t, std::uint64_t> kib;
  bool ours = false;
  for (std::string line; std::getline(smaps, line);) {
    const bool field = line.find("kB") != std::string::npos;
    if (!field && line.find('-') < 17) ours = line.find(name) != std::string::npos;
    if (ours && line.starts_with("Size:")) kib.first += std::stoull(line.substr(5));
    if (ours && line.starts_with("Rss:")) kib.second += std::stoull(line.substr(4));
  }
  return kib;
}

TEST(PoolsOfRoles, ATensorThatStaysCrossesWorkersWithoutPassingThroughTheFront) {
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(
      folder.path(), {.extra_toml = "[[pool]]\nname = \"vae\"\nroles = [\"vae\"]\n"
                                    "[[pool]]\nname = \"rest\"\nroles = [\"clip\", \"unet\"]\n"});
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "crossing", "tiny.safetensors");

  constexpr int kEdge = 768;
  VaeEncodeRequest encode;
  encode.pixels.spec = {DType::kU8, {1, kEdge, kEdge, 3}};
  encode.pixels.place = bytes_from(std::string(std::size_t{kEdge} * kEdge * 3, '\x40'));
  encode.keep = true;
  Answer<VaeEncodeReply> encoded;
  client->vae_encode(workflow.options(), encode, encoded.done());
  const auto latent = encoded.wait();
  ASSERT_TRUE(latent.ok()) << latent.status().to_string();
  ASSERT_TRUE(std::holds_alternative<ResidentTensor>(latent->latent.place));

  auto request = workflow.request("a blue boat", "", 7, kEdge / 8);
  ASSERT_TRUE(request.ok()) << request.status().to_string();
  request->run.steps = 1;
  request->run.denoise = 0.5;
  TensorRef& start = request->rows[0].latent;
  start = latent->latent;
  start.spec = {DType::kF32, {4, kEdge / 8, kEdge / 8}};  // [1, 4, h, w] as it was made
  const auto sampled = workflow.sample(*request);
  ASSERT_TRUE(sampled.ok()) << sampled.status().to_string();

  const auto [mapped, touched] = mapped_and_touched_kib(daemon->pid(), "luna-result");
  EXPECT_GE(mapped, 4u * (kEdge / 8) * (kEdge / 8) * sizeof(float) / 1024);
  EXPECT_EQ(touched, 0u) << "the front has read what it only hands on";
}

}  // namespace
}  // namespace luna::support
