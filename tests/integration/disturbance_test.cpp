// The counters behind the benchmarks of disturbance (tests/bench): what one client does to the
// others.
#include <atomic>

#include <gtest/gtest.h>

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

  // A step of the bulk job is eight forwards of sixteen rows. Each of the four interactive calls
  // waits for the one under way, and few bulk rows join the twenty interactive forwards.
  EXPECT_LE(bulk_steps - before, 4) << "bulk rows went before interactive ones";
  EXPECT_FALSE(endless.arrived());
  bulk_client.reset();
  EXPECT_EQ(endless.wait().status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace luna::support
