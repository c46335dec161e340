// Where models lie, over real workers: read once however many ask.
#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

constexpr const char* kTwoWorkers =
    "[[pool]]\nworkers_per_device = 2\ndevices = [\"cpu\"]\nthreads = 1\n";

class ResidencyOfADaemon : public ::testing::Test {
 protected:
  void start(const std::string& toml) {
    daemon_ = DaemonProcess::start(folder_.path(), {.extra_toml = toml});
    ASSERT_TRUE(daemon_);
  }
  bool wait_for_workers(std::ptrdiff_t count,
                        const std::function<bool(const WorkerInfo&)>& condition) {
    return wait_until(
        [&] { return std::ranges::count_if(daemon_->status().workers, condition) == count; },
        std::chrono::seconds(60));
  }
  static bool is_ready(const WorkerInfo& worker) { return worker.state == "ready"; }

  ModelFolder folder_;
  std::unique_ptr<DaemonProcess> daemon_;
};

TEST_F(ResidencyOfADaemon, TwoWorkersThatAreAskedAtOnceReadEachComponentOnce) {
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    folder_.add_checkpoint("tiny" + std::to_string(round) + ".safetensors", round);
  }
  ASSERT_NO_FATAL_FAILURE(start(kTwoWorkers));
  ASSERT_TRUE(wait_for_workers(2, is_ready));
  for (int round = 0; round < kRounds; ++round) {
    const std::string name = "tiny" + std::to_string(round) + ".safetensors";
    auto client = daemon_->connect();
    ASSERT_TRUE(client);
    Workflow workflow = register_workflow(*client, "round" + std::to_string(round), name);
    auto request = workflow.request("a blue boat", "", 7);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request->run.steps = 10000;
    std::vector<Answer<SampleReply>> endless;
    for (int i = 0; i < 16; ++i) endless.push_back(workflow.start(*request));
    EXPECT_TRUE(wait_for_workers(2, [&](const WorkerInfo& worker) {
      return std::ranges::any_of(worker.report.models, [&](const LoadedModel& model) {
        return model.info.slot == Slot::kUNet && model.paths.at(0).ends_with(name);
      });
    }));
    client.reset();  // ends its requests
    EXPECT_EQ(daemon_->status().component_reads, 2u * (round + 1)) << "text encoder and UNet";
  }
  EXPECT_GE(daemon_->status().host_copy_hits, std::uint64_t{kRounds});
}

}  // namespace
}  // namespace luna::support
