#include "client/cli/completion.h"
#include "client/cli/progress_line.h"
#include "tests/unit/client/cli/command_fixture.h"

namespace luna::client {
namespace {

using Commands = CommandFixture;

StatusInfo busy_status() {
  StatusInfo status;
  status.version = "0.1.0";
  status.uptime_seconds = 65;
  status.jobs.done = 12;
  WorkerInfo worker;
  worker.id = WorkerId{3};
  worker.state = "ready";
  worker.device = "cpu";
  worker.report.forwards["unet"] = {10, 25, {{1, 4}, {4, 6}}, 12.5};
  LoadedModel model;
  model.info.family = "sd1";
  model.paths = {"/m/v1-5.safetensors"};
  worker.report.models = {model};
  status.workers = {worker};
  for (int i = 0; i < 12; ++i) status.events.push_back({0, fmt::format("event {}", i)});
  return status;
}

TEST_F(Commands, StatusIsATableOfWorkersModelsAndBatches) {
  fake_->status_info = busy_status();
  ASSERT_EQ(luna({"status"}), 0);
  EXPECT_TRUE(out_has("lunad 0.1.0 at unix:/run/luna.sock, up 1 min 5 s"));
  EXPECT_TRUE(out_has("12 done"));
  EXPECT_TRUE(out_has("/m/v1-5.safetensors"));
  EXPECT_TRUE(out_has("1:4 4:6"));
  EXPECT_TRUE(out_has("2.50"));
  EXPECT_FALSE(out_has("event 1\n"));
  EXPECT_TRUE(out_has("event 11\n"));
  EXPECT_FALSE(options_.start_daemon);
}

TEST_F(Commands, StatusAsJsonHoldsEverything) {
  fake_->status_info = busy_status();
  ASSERT_EQ(luna({"status", "--json"}), 0);
  const auto object = json_out();
  EXPECT_EQ(object["workers"][0]["forwards"]["unet"]["batch_sizes"]["4"], 6);
  EXPECT_EQ(object["workers"][0]["models"][0]["family"], "sd1");
  EXPECT_EQ(object["jobs"]["done"], 12);
  EXPECT_EQ(object["events"].size(), 12u);
}

TEST_F(Commands, StatusShowsPoolsWithTheirRolesAndHowFarTheyMayGrow) {
  fake_->status_info = busy_status();
  PoolInfo pool;
  pool.name = "image";
  pool.roles = {Role::kVae, Role::kUnet};
  pool.devices = {"cuda:0", "cuda:1"};
  pool.min_workers = 2;
  pool.max_workers = 4;
  pool.workers = 3;
  fake_->status_info.pools = {pool};
  ASSERT_EQ(luna({"status"}), 0);
  for (const char* text : {"image", "vae unet", "cuda:0 cuda:1", "3 of 2..4"}) {
    EXPECT_TRUE(out_has(text)) << text << " in\n" << out_.str();
  }
  ASSERT_EQ(luna({"status", "--json"}), 0);
  EXPECT_EQ(json_out()["pools"][0]["roles"][1], "unet");
}

TEST_F(Commands, StatusShowsQueuesLeasesAndMemoryByKind) {
  fake_->status_info = busy_status();
  fake_->status_info.queues = {{"studio", Priority::kBulk, 6, 65}};
  WorkflowInfo workflow;
  workflow.id = "studio";
  workflow.calls_running = 7;
  workflow.seconds_left = 185;
  workflow.model_bytes = 3 << 20;
  fake_->status_info.workflows = {workflow};
  WorkerReport& report = fake_->status_info.workers[0].report;
  report.peak_resident_bytes = 5 << 20;
  report.memory = {{"weights", 2 << 20}};
  ASSERT_EQ(luna({"status"}), 0);
  for (const char* text :
       {"bulk", "1 min 5 s", "3 min 5 s", "3.0 MiB", "5.0 MiB", "weights 2.0 MiB"}) {
    EXPECT_TRUE(out_has(text)) << text << " in\n" << out_.str();
  }
  ASSERT_EQ(luna({"status", "--json"}), 0);
  EXPECT_EQ(json_out()["queues"][0]["priority"], "bulk");
  EXPECT_EQ(json_out()["workflows"][0]["model_bytes"], 3 << 20);
  EXPECT_EQ(json_out()["workers"][0]["memory"]["weights"], 2 << 20);
}

TEST_F(Commands, StatusShowsWhichPlaneEachClientHasAndWhyNoBetter) {
  SessionInfo near{.client_name = "studio", .planes = {"shm", "inline"}, .regions = 3};
  near.region_bytes = 3 << 20;
  SessionInfo far{.client_name = "cloud", .planes = {"inline"}};
  far.fallback = "the client is on another host";
  fake_->status_info.open_sessions = {near, far};
  fake_->status_info.regions = 3;
  fake_->status_info.region_bytes = 3 << 20;
  ASSERT_EQ(luna({"status"}), 0);
  for (const char* text :
       {"3 regions (3.0 MiB)", "studio", "shm, inline", "the client is on another host"}) {
    EXPECT_TRUE(out_has(text)) << text << " in\n" << out_.str();
  }
  ASSERT_EQ(luna({"status", "--json"}), 0);
  EXPECT_EQ(json_out()["regions"], 3);
  EXPECT_EQ(json_out()["open_sessions"][0]["planes"][0], "shm");
  EXPECT_EQ(json_out()["open_sessions"][1]["fallback"], far.fallback);
}

TEST_F(Commands, ModelsListShowsFilesAndWhatIsLoaded) {
  fake_->models.files = {{"checkpoints", "a.safetensors", 2048}, {"vae", "b.safetensors", 1}};
  ASSERT_EQ(luna({"models", "list"}), 0);
  EXPECT_TRUE(out_has("a.safetensors"));
  EXPECT_TRUE(out_has("2.0 KiB"));
  ASSERT_EQ(luna({"models", "list", "vae", "--json"}), 0);
  EXPECT_EQ(json_out()["files"].size(), 1u);
}

TEST_F(Commands, WhatIsHeldSaysByWhom) {
  LoadedModel model;
  model.info.slot = Slot::kUNet;
  model.info.family = "sd1";
  model.jobs = 2;
  fake_->unload_reply.held = {model};
  model.jobs = 0;
  model.pinned = true;
  model.info.slot = Slot::kVae;
  fake_->unload_reply.held.push_back(model);
  model.info.slot = Slot::kClipL;
  model.tier = Tier::kHost;
  fake_->unload_reply.unloaded = {model};
  ASSERT_EQ(luna({"models", "offload", "a.safetensors"}), 0);
  for (const char* text : {"clip_l sd1 lies in a host copy", "unet sd1 stays: 2 jobs use it",
                           "vae sd1 stays: it is pinned"}) {
    EXPECT_TRUE(out_has(text)) << text << " in\n" << out_.str();
  }
  ASSERT_EQ(luna({"models", "offload", "a.safetensors", "--json"}), 0);
  EXPECT_EQ(json_out()["held"][0]["jobs"], 2);
  EXPECT_EQ(json_out()["held"][1]["pinned"], true);
  EXPECT_EQ(json_out()["offloaded"][0]["tier"], "host");
}

TEST_F(Commands, ModelsAreOffloadedRestoredPinnedAndUnpinned) {
  fake_->restore_reply.restored.emplace_back().device = "cuda:0";
  ASSERT_EQ(luna({"models", "offload", "a.safetensors", "--slot", "vae"}), 0);
  ASSERT_EQ(luna({"models", "restore", "a.safetensors"}), 0);
  EXPECT_TRUE(out_has("on cuda:0"));
  ASSERT_EQ(luna({"models", "pin", "a.safetensors"}), 0);
  EXPECT_TRUE(out_has("pinned /models/a.safetensors"));
  ASSERT_EQ(luna({"models", "unpin", "a.safetensors", "--json"}), 0);
  EXPECT_EQ(json_out()["pinned"], false);
  ASSERT_EQ(luna({"models", "unload", "a.safetensors", "--host"}), 0);
  EXPECT_EQ(fake_->admin_calls,
            (std::vector<std::string>{"offload vae a.safetensors", "restore a.safetensors",
                                      "pin a.safetensors", "unpin a.safetensors",
                                      "unload with host copies a.safetensors"}));
  EXPECT_EQ(luna({"models", "offload", "--slot", "nose", "a.safetensors"}), 2);
  fake_->restore_reply.restored.clear();
  ASSERT_EQ(luna({"models", "restore", "a.safetensors"}), 0);
  EXPECT_TRUE(out_has("nothing of it is offloaded"));
}

TEST_F(Commands, StatusListsThePinnedFiles) {
  fake_->status_info.pinned_files = {"/models/a.safetensors"};
  ASSERT_EQ(luna({"status"}), 0);
  EXPECT_TRUE(out_has("pinned: /models/a.safetensors"));
  ASSERT_EQ(luna({"status", "--json"}), 0);
  EXPECT_EQ(json_out()["pinned_files"][0], "/models/a.safetensors");
}

TEST_F(Commands, StatusTellsMachinesWhichSamplersAndSchedulersAreServed) {
  fake_->status_info.samplers = {"euler", "deis"};
  fake_->status_info.schedulers = {"karras"};
  ASSERT_EQ(luna({"status", "--json"}), 0);
  EXPECT_EQ(json_out()["samplers"], (std::vector<std::string>{"euler", "deis"}));
  EXPECT_EQ(json_out()["schedulers"], std::vector<std::string>{"karras"});
}

TEST_F(Commands, ModelsAreInspectedLoadedAndUnloaded) {
  fake_->unload_reply.freed_bytes = 1 << 20;
  ASSERT_EQ(luna({"models", "inspect", "a.safetensors"}), 0);
  EXPECT_TRUE(out_has("320 wide"));
  ASSERT_EQ(luna({"models", "load", "--slot", "vae", "a.safetensors"}), 0);
  ASSERT_EQ(luna({"models", "unload", "a.safetensors"}), 0);
  EXPECT_TRUE(out_has("freed 1.0 MiB"));
  EXPECT_EQ(fake_->admin_calls,
            (std::vector<std::string>{"inspect a.safetensors", "load vae a.safetensors",
                                      "unload a.safetensors"}));
  EXPECT_EQ(luna({"models", "load", "--slot", "nose", "a.safetensors"}), 2);
  EXPECT_EQ(luna({"models", "inspect"}), 2);
}

TEST_F(Commands, WorkflowsAreRegisteredListedAndReleased) {
  ASSERT_EQ(
      luna({"workflow", "register", "studio", "--checkpoint", "a.safetensors", "--ttl", "60"}), 0);
  EXPECT_EQ(fake_->registered[0].first, "studio");
  EXPECT_TRUE(out_has("studio"));
  ASSERT_EQ(luna({"workflow", "register", "half", "--vae", "v.safetensors"}), 0);
  EXPECT_FALSE(fake_->registered[1].second.checkpoint);
  ASSERT_EQ(luna({"workflow", "list", "--json"}), 0);
  ASSERT_EQ(luna({"workflow", "release", "studio"}), 0);
  EXPECT_EQ(luna({"workflow", "register", "none"}), 2);
}

TEST_F(Commands, HelpTeachesWithExamplesAndEndsWithZero) {
  EXPECT_EQ(luna({"--help"}), 0);
  EXPECT_TRUE(out_has("Exit codes"));
  EXPECT_EQ(luna({"generate", "--help"}), 0);
  EXPECT_TRUE(out_has("luna generate --from fox.png --steps 40"));
  EXPECT_EQ(luna({"version"}), 0);
  EXPECT_EQ(luna({"version", "--json"}), 0);
  EXPECT_EQ(json_out()["version"], "0.1.0");
}

TEST_F(Commands, NoOrAnUnknownCommandEndsWithTwo) {
  EXPECT_EQ(luna({}), 2);
  EXPECT_EQ(luna({"genrate"}), 2);
  EXPECT_EQ(luna({"models"}), 2);
}

TEST_F(Commands, EveryCommandTakesJson) {
  Action action;
  const auto app = make_app(console_, &action);
  const std::function<void(const CLI::App&)> visit = [&](const CLI::App& command) {
    const auto subs = command.get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::App* sub : subs) visit(*sub);
    if (subs.empty()) {
      EXPECT_NE(command.get_option_no_throw("--json"), nullptr) << command.get_name();
    }
  };
  visit(*app);
}

TEST_F(Commands, CompletionKnowsCommandsFlagsAndValues) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    ASSERT_EQ(luna({"completion", shell}), 0);
    for (const char* word :
         {"generate", "inspect", "scheduler", "kl_optimal", "doctor", "top", "interval"}) {
      EXPECT_TRUE(out_has(word)) << shell << " " << word;
    }
  }
  EXPECT_EQ(luna({"completion", "cmd"}), 2);
}

TEST_F(Commands, TheBashScriptCompletes) {
  ASSERT_EQ(luna({"completion", "bash"}), 0);
  const std::string script = dir_.write("luna.bash", out_.str());
  const std::string probe =
      dir_.write("probe.bash", "set -e\nsource " + script + "\n" +
                                   "t() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
                                   "COMPREPLY=(); _luna; echo \"${COMPREPLY[*]}\"; }\n" +
                                   "t luna gen\nt luna models ins\nt luna generate --sched\nt luna "
                                   "generate --sampler dpmpp_2m_sde\n");
  const std::string result = dir_.file("result");
  ASSERT_EQ(std::system(("bash " + probe + " > " + result).c_str()), 0);
  EXPECT_EQ(support::read_file(result),
            "generate\ninspect\n--scheduler\n"
            "dpmpp_2m_sde dpmpp_2m_sde_gpu dpmpp_2m_sde_heun dpmpp_2m_sde_heun_gpu\n");
}

TEST(Progress, OnATerminalOneLineIsRedrawn) {
  std::ostringstream err;
  {
    ProgressLine line(&err, true);
    line.show({GenerateStage::kSample, 5, 20, 0, 1, 1.25, 18.75, 2, {}});
  }
  EXPECT_EQ(err.str(),
            "\r\x1b[K[######..................] step 5/20, 1.25 s/step, 19 s left\r\x1b[K");
}

TEST(Progress, ElsewhereItIsALinePerTenthOfTheSteps) {
  std::ostringstream err;
  ProgressLine line(&err, false);
  for (int step = 1; step <= 100; ++step) {
    line.show({GenerateStage::kSample, step, 100, 0, 1, 1.0, 100.0 - step, 1, {}});
  }
  const std::string text = err.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Progress, TimesAndSizesAreReadable) {
  EXPECT_EQ(human_seconds(59.4), "59 s");
  EXPECT_EQ(human_seconds(185), "3 min 5 s");
  EXPECT_EQ(human_seconds(7620), "2 h 7 min");
  EXPECT_EQ(human_bytes(512), "512 B");
  EXPECT_EQ(human_bytes(3ull << 30), "3.0 GiB");
}

}  // namespace
}  // namespace luna::client
