// Workflows are keys, models are content: equal components are in memory once, and nobody gets
// another's pixels.
#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

std::vector<float> pixels_of(Workflow& workflow, std::uint64_t seed) {
  auto request = workflow.request("a blue boat", "", seed);
  EXPECT_TRUE(request.ok()) << request.status().to_string();
  if (!request.ok()) return {};
  request->run.steps = 3;
  auto reply = workflow.sample(*request);
  EXPECT_TRUE(reply.ok()) << reply.status().to_string();
  if (!reply.ok()) return {};
  auto decoded = workflow.decode(reply->latents[0]);
  EXPECT_TRUE(decoded.ok()) << decoded.status().to_string();
  return decoded.ok() ? *floats_of(decoded->pixels) : std::vector<float>();
}

int loaded(const StatusInfo& status, Slot slot) {
  int count = 0;
  for (const WorkerInfo& worker : status.workers) {
    for (const LoadedModel& model : worker.report.models) count += model.info.slot == slot;
  }
  return count;
}

TEST(Sharing, TwoCheckpointsWithOneVaeFileKeepTheirPixelsAndOneVaeInMemory) {
  ModelFolder folder;
  folder.add_checkpoint("first.safetensors", 1);
  folder.add_checkpoint("second.safetensors", 2);
  folder.add_vae("shared.safetensors", 3);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow first = register_workflow(*client, "first", "first.safetensors", "shared.safetensors");
  Workflow second =
      register_workflow(*client, "second", "second.safetensors", "shared.safetensors");

  const auto first_alone = pixels_of(first, 7);
  const auto second_alone = pixels_of(second, 7);
  ASSERT_FALSE(first_alone.empty());
  EXPECT_NE(first_alone, second_alone);
  EXPECT_EQ(pixels_of(first, 7), first_alone)
      << "the second workflow changed the first one's picture";

  StatusInfo status;
  ASSERT_TRUE(wait_until([&] {
    status = daemon->status();
    return loaded(status, Slot::kUNet) == 2 && loaded(status, Slot::kVae) >= 1;
  }));
  EXPECT_EQ(loaded(status, Slot::kVae), 1);
  EXPECT_EQ(loaded(status, Slot::kUNet), 2);
}

TEST(Sharing, AVaeBakedIntoTwoCheckpointsIsInMemoryOnce) {
  ModelFolder folder;
  folder.add_checkpoint("first.safetensors", 1, /*vae_seed=*/9);
  folder.add_checkpoint("second.safetensors", 2, /*vae_seed=*/9);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow first = register_workflow(*client, "first", "first.safetensors");
  Workflow second = register_workflow(*client, "second", "second.safetensors");
  ASSERT_FALSE(pixels_of(first, 7).empty());
  ASSERT_FALSE(pixels_of(second, 7).empty());
  StatusInfo status;
  ASSERT_TRUE(wait_until([&] {
    status = daemon->status();
    return loaded(status, Slot::kUNet) == 2;
  }));
  EXPECT_EQ(loaded(status, Slot::kVae), 1);
}

TEST(Sharing, ReplacingARegistrationSwitchesLaterCalls) {
  ModelFolder folder;
  folder.add_checkpoint("first.safetensors", 1);
  folder.add_checkpoint("second.safetensors", 2);
  auto daemon = DaemonProcess::start(folder.path());
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "one", "first.safetensors");
  const auto with_first = pixels_of(workflow, 7);
  register_workflow(*client, "one", "second.safetensors");
  const auto with_second = pixels_of(workflow, 7);
  EXPECT_NE(with_first, with_second);
  register_workflow(*client, "one", "first.safetensors");
  EXPECT_EQ(pixels_of(workflow, 7), with_first);
}

}  // namespace
}  // namespace luna::support
