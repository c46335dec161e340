// Where models lie, over real workers: read once however many ask, offloaded, restored, pinned,
// evicted.
#include <algorithm>
#include <csignal>
#include <functional>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kTwoWorkers = "[[pool]]\nmin_workers = 2\ndevices = [\"cpu\"]\nthreads = 1\n";

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
  /// Both workers run samples of the workflow, until the client goes.
  std::vector<Answer<SampleReply>> keep_both_busy(Workflow& workflow, const std::string& name) {
    auto request = workflow.request("a blue boat", "", 7);
    EXPECT_TRUE(request.ok()) << request.status().to_string();
    if (!request.ok()) return {};
    request->run.steps = 10000;
    std::vector<Answer<SampleReply>> endless;
    for (int i = 0; i < 16; ++i) endless.push_back(workflow.start(*request));
    EXPECT_TRUE(wait_for_workers(2, [&](const WorkerInfo& worker) {
      return std::ranges::any_of(worker.report.models, [&](const LoadedModel& model) {
        return model.info.slot == Slot::kUNet && model.paths.at(0).ends_with(name);
      });
    }));
    return endless;
  }
  /// Names of the files of what is loaded, as the last heartbeats say.
  std::vector<std::string> loaded_files() {
    std::vector<std::string> files;
    for (const WorkerInfo& worker : daemon_->status().workers) {
      for (const LoadedModel& model : worker.report.models) {
        files.push_back(std::filesystem::path(model.paths.at(0)).filename());
      }
    }
    std::ranges::sort(files);
    return files;
  }
  static bool has_nothing(const WorkerInfo& worker) {
    return is_ready(worker) && worker.report.models.empty() && worker.report.jobs_running == 0;
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
    const auto endless = keep_both_busy(workflow, name);
    client.reset();  // ends its requests
    ASSERT_TRUE(wait_until([&] { return daemon_->status().jobs.running == 0; }));
    EXPECT_EQ(daemon_->status().component_reads, 2u * (round + 1)) << "text encoder and UNet";
  }
  EXPECT_GE(daemon_->status().host_copy_hits, std::uint64_t{kRounds});
}

TEST_F(ResidencyOfADaemon, AnOffloadReachesAllWorkersAndARestoreReadsNoFile) {
  folder_.add_checkpoint("tiny.safetensors", 1);
  ASSERT_NO_FATAL_FAILURE(start(kTwoWorkers));
  ASSERT_TRUE(wait_for_workers(2, is_ready));
  auto admin = daemon_->connect();
  auto client = daemon_->connect();
  ASSERT_TRUE(admin && client);
  Workflow workflow = register_workflow(*client, "offloaded", "tiny.safetensors");
  const auto endless = keep_both_busy(workflow, "tiny.safetensors");

  const auto held = admin->offload_model("tiny.safetensors", Slot::kUNet);
  ASSERT_TRUE(held.ok()) << held.status().to_string();
  EXPECT_THAT(held->unloaded, SizeIs(0));
  ASSERT_THAT(held->held, SizeIs(1));
  EXPECT_GE(held->held[0].jobs, 2u) << "of both workers";

  client.reset();  // ends its requests
  ASSERT_TRUE(wait_until([&] { return daemon_->status().jobs.running == 0; }));
  const auto idle = [](const WorkerInfo& worker) { return worker.report.jobs_running == 0; };
  ASSERT_TRUE(wait_for_workers(2, idle));
  const StatusInfo before = daemon_->status();
  const auto offloaded = admin->offload_model("tiny.safetensors", std::nullopt);
  ASSERT_TRUE(offloaded.ok()) << offloaded.status().to_string();
  EXPECT_GT(offloaded->freed_bytes, 0u);
  EXPECT_THAT(offloaded->held, SizeIs(0));
  ASSERT_THAT(offloaded->unloaded, SizeIs(2)) << "text encoder and UNet, each once";
  for (const LoadedModel& model : offloaded->unloaded) EXPECT_EQ(model.tier, Tier::kHost);
  EXPECT_TRUE(wait_for_workers(2, has_nothing));

  const auto restored = admin->restore_model("tiny.safetensors");
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_THAT(restored->restored, SizeIs(2));
  const StatusInfo after = daemon_->status();
  EXPECT_EQ(after.component_reads, before.component_reads) << "no file was read";
  EXPECT_GE(after.host_copy_hits, before.host_copy_hits + 3) << "two UNets, a text encoder or two";
  EXPECT_THAT(admin->restore_model("tiny.safetensors")->restored, SizeIs(0));
}

TEST_F(ResidencyOfADaemon, AnUnloadWithHostCopiesLeavesNothingButTheFile) {
  folder_.add_checkpoint("tiny.safetensors", 1);
  ASSERT_NO_FATAL_FAILURE(start(""));
  auto client = daemon_->connect();
  ASSERT_TRUE(client);
  const ModelRef model{"tiny.safetensors", Precision::kF32};
  ASSERT_TRUE(client->load_model(Slot::kUNet, model).ok());
  ASSERT_TRUE(client->unload_model("tiny.safetensors", false).ok());
  EXPECT_EQ(daemon_->status().host_copies, 1u);
  ASSERT_TRUE(client->load_model(Slot::kUNet, model).ok());
  EXPECT_EQ(daemon_->status().component_reads, 1u);

  const auto unloaded = client->unload_model("tiny.safetensors", true);
  ASSERT_TRUE(unloaded.ok()) << unloaded.status().to_string();
  EXPECT_GT(unloaded->host_freed_bytes, 0u);
  ASSERT_THAT(unloaded->unloaded, SizeIs(1));
  EXPECT_EQ(unloaded->unloaded[0].tier, Tier::kFile);
  EXPECT_EQ(daemon_->status().host_copies, 0u);
  ASSERT_TRUE(client->load_model(Slot::kUNet, model).ok());
  EXPECT_EQ(daemon_->status().component_reads, 2u);
}

TEST_F(ResidencyOfADaemon, PinsOutliveAWorker) {
  folder_.add_checkpoint("tiny.safetensors", 1);
  ASSERT_NO_FATAL_FAILURE(start(""));
  auto client = daemon_->connect();
  ASSERT_TRUE(client);
  const auto pinned = client->pin_model("tiny.safetensors");
  ASSERT_TRUE(pinned.ok()) << pinned.status().to_string();
  const std::vector<pid_t> workers = daemon_->worker_pids();
  ASSERT_EQ(workers.size(), 1u);
  ::kill(workers[0], SIGKILL);
  ASSERT_TRUE(wait_until([&] { return !process_exists(workers[0]); }));
  const auto loaded = client->load_model(Slot::kVae, {"tiny.safetensors", Precision::kF32});
  ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
  EXPECT_TRUE(loaded->pinned);
  EXPECT_EQ(daemon_->status().pinned_files, std::vector<std::string>{*pinned});
  EXPECT_EQ(client->unload_model("tiny.safetensors", false).status().code(),
            StatusCode::kFailedPrecondition);
  ASSERT_TRUE(client->unpin_model("tiny.safetensors").ok());
  EXPECT_THAT(client->unload_model("tiny.safetensors", false)->unloaded, SizeIs(1));
}

TEST_F(ResidencyOfADaemon, UnderABudgetTheLongestUnusedGoesAndWhatIsInTheWayIsNamed) {
  for (const char* name : {"a", "b", "c"}) {
    folder_.add_checkpoint(std::string(name) + ".safetensors", name[0]);
  }
  // A tiny text encoder has 12 to 15 MiB, nearly all of it the token table.
  ASSERT_NO_FATAL_FAILURE(start("[[pool]]\ndevices = [\"cpu\"]\nmemory_budget_mib = 32\n"));
  auto client = daemon_->connect();
  ASSERT_TRUE(client);
  const auto load = [&](const std::string& name) {
    return client->load_model(Slot::kClipL, {name + ".safetensors", Precision::kF32});
  };
  const auto wait_for_files = [&](const std::string& one, const std::string& other) {
    return wait_until([&] {
      return loaded_files() == std::vector{one + ".safetensors", other + ".safetensors"};
    });
  };
  for (const char* name : {"a", "b", "a", "c"}) {
    const auto loaded = load(name);
    ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
  }
  EXPECT_TRUE(wait_for_files("a", "c")) << "b was the longest unused";
  ASSERT_TRUE(client->pin_model("a.safetensors").ok());
  ASSERT_TRUE(load("b").ok());
  EXPECT_TRUE(wait_for_files("a", "b")) << "a is pinned";
  EXPECT_EQ(daemon_->status().component_reads, 3u) << "b came back from its host copy";

  ASSERT_TRUE(client->pin_model("b.safetensors").ok());
  const auto refused = load("c");
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(),
              AllOf(HasSubstr("c.safetensors"), HasSubstr("budget of 32 MiB"),
                    HasSubstr("clip_l of a.safetensors"), HasSubstr("clip_l of b.safetensors"),
                    HasSubstr("MiB, pinned)")));
  EXPECT_TRUE(wait_for_files("a", "b")) << "nothing went in vain";
}

TEST_F(ResidencyOfADaemon, TheVerbsOfTheCommandLineSpeakJson) {
  folder_.add_checkpoint("tiny.safetensors", 1);
  ASSERT_NO_FATAL_FAILURE(start(""));
  const auto luna = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "models");
    words.insert(words.end(), {"tiny.safetensors", "--json", "--address", daemon_->address()});
    const Ended ended = run_program("luna", words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    return nlohmann::json::parse(ended.out, nullptr, false);
  };
  luna({"load", "--slot", "vae"});
  const auto offloaded = luna({"offload"});
  EXPECT_EQ(offloaded["offloaded"][0]["slot"], "vae");
  EXPECT_EQ(offloaded["offloaded"][0]["tier"], "host");
  EXPECT_EQ(luna({"restore"})["restored"][0]["tier"], "device");
  EXPECT_EQ(luna({"pin"})["pinned"], true);
  EXPECT_EQ(luna({"unpin"})["pinned"], false);
  EXPECT_GT(luna({"unload", "--host"})["host_freed_bytes"], 0);
}

}  // namespace
}  // namespace luna::support
