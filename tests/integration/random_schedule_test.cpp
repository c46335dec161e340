// Random schedules of everything that clients and accidents do, compared with a small model that
// knows which answers are permitted. A schedule that fails is printed, and
// LUNA_SCHEDULE_SEED=<seed> repeats it.
#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/integration/footprint.h"
#include "tests/integration/model_folder.h"
#include "tests/integration/schedule_run.h"
#include "tests/support/repetitions.h"

namespace luna::support {
namespace {

void make_references(DaemonProcess& daemon, ScheduleReferences& references) {
  auto client = daemon.connect();
  ASSERT_TRUE(client);
  for (int checkpoint = 0; checkpoint < kScheduleCheckpoints; ++checkpoint) {
    const auto registered =
        client->register_workflow("reference", scheduled_models(checkpoint), 0, false);
    ASSERT_TRUE(registered.ok()) << registered.status().to_string();
    Workflow workflow(*client, "reference");
    if (checkpoint == 0) {
      auto request = workflow.request("a blue boat", "fog", 0);
      ASSERT_TRUE(request.ok()) << request.status().to_string();
      references.request = *request;
    }
    for (int seed = 0; seed < kScheduleSeeds; ++seed) {
      for (const int steps : {kShortRun, kLongRun}) {
        auto reply = workflow.sample(references.request_of(seed, steps));
        ASSERT_TRUE(reply.ok()) << reply.status().to_string();
        references.latents[{checkpoint, seed, steps}] = *reply;
      }
    }
  }
  ASSERT_TRUE(client->release_workflow("reference").ok());
  for (const auto& [key, reply] : references.latents) {
    const auto& [checkpoint, seed, steps] = key;
    if (checkpoint == 0) continue;
    ASSERT_GT(references.error_of(reply, 0, seed, steps), 0.01)
        << "a latent of another checkpoint would not be told apart";
  }
}

std::string in_words(std::uint64_t seed, const std::vector<ScheduleStep>& steps) {
  std::string text = fmt::format("LUNA_SCHEDULE_SEED={} repeats this schedule:\n", seed);
  for (const ScheduleStep& step : steps) text += fmt::format("  {}\n", support::in_words(step));
  return text;
}

TEST(RandomSchedule, EveryAnswerIsOneThatTheModelPermitsAndNothingIsLeftBehind) {
  ModelFolder folder;
  for (int i = 0; i < kScheduleCheckpoints; ++i)
    folder.add_unet(fmt::format("unet-{}.safetensors", i), i);
  folder.add_text_encoder("text.safetensors", 1);
  const std::string toml = fmt::format(
      "[[pool]]\nmin_workers = 2\n[supervision]\nbackoff_max_ms = 200\n"
      "[limits]\nqueue_per_workflow = {}\nqueue_total = {}\n",
      ScheduleRun::kLimits.per_workflow, ScheduleRun::kLimits.total);
  auto daemon = DaemonProcess::start(folder.path(), {.extra_toml = toml});
  ScheduleReferences references;
  ASSERT_NO_FATAL_FAILURE(make_references(*daemon, references));

  std::uint64_t first = 1;
  int schedules = repetitions(12, 200);
  if (const char* repeated = std::getenv("LUNA_SCHEDULE_SEED")) {
    first = std::strtoull(repeated, nullptr, 10);
    schedules = 1;
  }
  for (std::uint64_t seed = first; seed < first + schedules; ++seed) {
    const std::vector<ScheduleStep> steps = random_schedule(seed);
    const std::vector<std::string> complaints = ScheduleRun(*daemon, references, seed).run(steps);
    for (const std::string& complaint : complaints) ADD_FAILURE() << complaint;
    if (!complaints.empty()) {
      FAIL() << in_words(seed, steps) << "\n" << daemon->log();
    }
  }
  const StatusInfo status = daemon->status();
  EXPECT_GT(status.jobs.done, 0u);
  EXPECT_EQ(status.jobs.failed, 0u);
  RecordProperty("accepted", static_cast<int>(status.jobs.accepted));
  RecordProperty("done", static_cast<int>(status.jobs.done));
  RecordProperty("refused", static_cast<int>(status.jobs.refused));
  RecordProperty("cancelled", static_cast<int>(status.jobs.cancelled));
  RecordProperty("rerun", static_cast<int>(status.jobs.rerun));
}

}  // namespace
}  // namespace luna::support
