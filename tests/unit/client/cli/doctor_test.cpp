#include "client/cli/doctor.h"

#include <filesystem>

#include <sys/stat.h>

#include "tests/unit/client/cli/command_fixture.h"

namespace luna::client {
namespace {

namespace fs = std::filesystem;

class Doctor : public CommandFixture {
 protected:
  Doctor() {
    machine_.proc_nvidia = dir_.file("proc");
    machine_.dev = dir_.file("dev");
    machine_.program_folder = dir_.file("bin");
    machine_.runtime_folder = dir_.file("run");
    machine_.home = dir_.file("home");
    machine_.loaded_libraries = [this](const std::string&) -> Result<std::string> {
      return libraries_;
    };
  }

  void program(const std::string& name) {
    ::chmod(dir_.write("bin/" + name, "#!/bin/sh\n").c_str(), 0755);
  }

  void gpu(bool device) {
    dir_.write("proc/version", "NVRM version: NVIDIA 580\n");
    dir_.write("proc/gpus/0000:01/information", "Model: \t\t NVIDIA H200\nDevice Minor: \t 0\n");
    if (device) dir_.write("dev/nvidia0", "");
  }

  Machine machine_;
  Config config_;
  std::string libraries_ =
      "\tlibtorch_cpu.so => /opt/torch/lib/libtorch_cpu.so (0x7f)\n\tlibc.so.6 => /lib/libc.so.6 "
      "(0x1)\n";
};

TEST_F(Doctor, AMachineWithoutAGpuIsWell) {
  EXPECT_EQ(check_driver(machine_).verdict, Verdict::kOk);
  EXPECT_NE(check_driver(machine_).what.find("CPU"), std::string::npos);
  EXPECT_TRUE(check_gpus(machine_).empty());
}

TEST_F(Doctor, AGpuIsNamedAndItsDeviceTried) {
  gpu(false);
  ASSERT_EQ(check_gpus(machine_).size(), 1u);
  EXPECT_EQ(check_gpus(machine_)[0].verdict, Verdict::kProblem);
  gpu(true);
  EXPECT_EQ(check_gpus(machine_)[0].verdict, Verdict::kOk);
  EXPECT_EQ(check_gpus(machine_)[0].what, "NVIDIA H200");
  EXPECT_EQ(check_driver(machine_).what, "NVRM version: NVIDIA 580");
}

TEST_F(Doctor, MissingProgramsAreProblems) {
  const auto findings = check_programs(machine_, config_);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].verdict, Verdict::kProblem);
  EXPECT_NE(findings[1].what.find("bin/luna-worker"), std::string::npos);
}

TEST_F(Doctor, TheWorkersLibtorchIsFoundOrItsLackNamed) {
  program("lunad");
  program("luna-worker");
  EXPECT_EQ(check_programs(machine_, config_)[2].what, "/opt/torch/lib/libtorch_cpu.so");
  libraries_ = "\tlibtorch_cpu.so => not found\n\tlibgomp.so.1 => not found\n";
  const Finding missing = check_programs(machine_, config_)[2];
  EXPECT_EQ(missing.verdict, Verdict::kProblem);
  EXPECT_EQ(missing.what, "luna-worker lacks libtorch_cpu.so, libgomp.so.1");
}

TEST_F(Doctor, AGpuWithoutTheCudaModuleIsAWarning) {
  gpu(true);
  program("lunad");
  program("luna-worker");
  EXPECT_EQ(check_programs(machine_, config_).back().verdict, Verdict::kWarning);
  dir_.write("bin/libluna_cuda.so", "");
  EXPECT_EQ(check_programs(machine_, config_).back().subject, "libtorch");
}

TEST_F(Doctor, TheVocabularyIsLookedForWhereLunadDoes) {
  EXPECT_EQ(check_vocabulary(machine_, config_).verdict, Verdict::kProblem);
  const std::string path = dir_.write("home/.cache/luna/clip_merges.txt", "x");
  EXPECT_EQ(check_vocabulary(machine_, config_).what, path);
  config_.models.clip_vocabulary = dir_.file("none.txt");
  EXPECT_EQ(check_vocabulary(machine_, config_).verdict, Verdict::kProblem);
}

TEST_F(Doctor, RootsAreCountedAndBadOnesNamed) {
  EXPECT_EQ(check_roots(config_)[0].verdict, Verdict::kWarning);
  config_.models.roots = {dir_.file("models"), dir_.file("none")};
  dir_.write("models/checkpoints/sub/a.safetensors", "");
  dir_.write("models/vae/b.safetensors", "");
  const auto findings = check_roots(config_);
  EXPECT_EQ(findings[0].verdict, Verdict::kOk);
  EXPECT_NE(findings[0].what.find("1 checkpoints, 1 vae"), std::string::npos);
  EXPECT_EQ(findings[1].verdict, Verdict::kProblem);
  fs::remove(dir_.file("models/checkpoints/sub/a.safetensors"));
  EXPECT_EQ(check_roots(config_)[0].verdict, Verdict::kWarning);
}

TEST_F(Doctor, TheSocketFolderMustBelongToItsUserAlone) {
  EXPECT_EQ(check_sockets(machine_).verdict, Verdict::kOk);
  fs::create_directory(dir_.file("run"));
  fs::permissions(dir_.file("run"), fs::perms::all);
  EXPECT_EQ(check_sockets(machine_).verdict, Verdict::kProblem);
  fs::permissions(dir_.file("run"), fs::perms::owner_all);
  EXPECT_EQ(check_sockets(machine_).verdict, Verdict::kOk);
  machine_.runtime_folder = dir_.file("no/such/folder");
  EXPECT_EQ(check_sockets(machine_).verdict, Verdict::kProblem);
}

TEST_F(Doctor, ABadConfigurationIsAProblemAndNoneAWarning) {
  const Result<std::optional<std::string>> none = std::optional<std::string>();
  EXPECT_EQ(check_config(none, Config()).verdict, Verdict::kWarning);
  const Result<std::optional<std::string>> some = std::optional<std::string>("c.toml");
  EXPECT_EQ(check_config(some, Config()).verdict, Verdict::kOk);
  EXPECT_EQ(check_config(some, Status(StatusCode::kInvalidArgument, "c.toml:3: x")).what,
            "c.toml:3: x");
}

TEST_F(Doctor, TheCommandPrintsOneLineAFindingAndCountsProblems) {
  const std::string config =
      dir_.write("config.toml", "[models]\nroots = [\"" + dir_.path() + "/none\"]\n");
  EXPECT_EQ(luna({"doctor", "--config", config}), 1);
  EXPECT_TRUE(out_has("problem  model root: "));
  EXPECT_TRUE(out_has("none' is not a folder"));
  EXPECT_EQ(luna({"doctor", "--config", config, "--json"}), 1);
  EXPECT_GE(json_out()["problems"], 1);
  EXPECT_FALSE(options_.start_daemon);
}

TEST_F(Doctor, ADaemonThatIsNamedAndSilentIsAProblem) {
  connect_failure_ = Status(StatusCode::kUnavailable, "nobody listens");
  luna({"doctor", "--address", "host:1"});
  EXPECT_TRUE(out_has("problem  daemon: nobody listens"));
  luna({"doctor"});
  EXPECT_TRUE(out_has("ok       daemon: none is running"));
}

}  // namespace
}  // namespace luna::client
