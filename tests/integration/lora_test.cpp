// LoRA sets over real processes: many at once, switched, killed in the middle, replaced under a
// running call.
#include <atomic>
#include <filesystem>

#include <gmock/gmock.h>
#include <signal.h>

#include "common/image/png.h"
#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"
#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"

namespace luna::support {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Loras : public testing::Test {
 protected:
  void SetUp() override {
    folder_.add_checkpoint("tiny.safetensors", 1);
    std::filesystem::create_directories(folder_.models() / "loras");
    for (const char* name : {"a", "b", "c"}) add_lora(name, name);
    daemon_ = DaemonProcess::start(folder_.path(), {.tcp = true});
    client_ = daemon_->connect();
    ASSERT_TRUE(client_);
    workflow_.emplace(register_workflow(*client_, "loras", "tiny.safetensors"));
    auto request = workflow_->request("a red boat", "", 5);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request_ = *request;
    request_.run.steps = 12;
  }

  /// loras/<name>.safetensors: rank 2 over some layers, in one stroke. Other salts, other values.
  void add_lora(const std::string& name, const std::string& salt) {
    SafetensorsWriter writer;
    const auto add = [&](const std::string& part, std::vector<std::int64_t> shape) {
      std::size_t count = 1;
      for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
      writer.add(part, shape, uniform_values(salt + part, count, 0.4F));
    };
    const std::string middle = "lora_unet_mid_block_attentions_0_";
    add(middle + "proj_in.lora_up.weight", {64, 2});
    add(middle + "proj_in.lora_down.weight", {2, 64});
    add(middle + "transformer_blocks_0_attn1_to_v.lora_up.weight", {64, 2});
    add(middle + "transformer_blocks_0_attn1_to_v.lora_down.weight", {2, 64});
    const std::filesystem::path file = folder_.models() / "loras" / (name + ".safetensors");
    writer.write(file.string() + ".part");
    std::filesystem::rename(file.string() + ".part", file);
  }

  SampleRequest with(const std::vector<LoraRef>& loras, LoraApplication how) const {
    SampleRequest request = request_;
    request.rows[0].loras = loras;
    request.lora_application = how;
    return request;
  }
  SampleReply sampled(const SampleRequest& request) {
    auto reply = workflow_->sample(request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string() << "\n" << daemon_->log();
    return reply.ok() ? *reply : SampleReply();
  }
  /// Of the workers' last report, once it has seen this client's calls end.
  WorkerReport settled_report(std::uint64_t jobs) {
    WorkerReport report;
    EXPECT_TRUE(wait_until([&] {
      const StatusInfo status = daemon_->status();
      if (status.workers.size() != 1) return false;
      report = status.workers[0].report;
      return report.jobs_done >= jobs;
    }));
    return report;
  }

  ModelFolder folder_;
  std::unique_ptr<DaemonProcess> daemon_;
  std::unique_ptr<client::GrpcClient> client_;
  std::optional<Workflow> workflow_;
  SampleRequest request_;
};

TEST_F(Loras, EightCallsWithEightSetsGiveThePicturesOfOneByOneInFewerForwards) {
  std::vector<SampleRequest> requests;
  for (int i = 0; i < 8; ++i) {
    std::vector<LoraRef> set = {{i % 2 == 0 ? "a.safetensors" : "b.safetensors", 0.2 + 0.1 * i}};
    if (i % 3 == 0) set.emplace_back("c.safetensors", -0.5);
    requests.push_back(with(set, LoraApplication::kAuto));
    requests.back().rows[0].noise.seed = 100 + static_cast<std::uint64_t>(i);
    requests.back().run.steps = 16;
  }
  const auto forwards = [&](const WorkerReport& report) {
    return report.forwards.at("unet").forwards;
  };
  std::vector<SampleReply> alone;
  for (const SampleRequest& request : requests) alone.push_back(sampled(request));
  const WorkerReport before = settled_report(2 + 8);
  for (const SampleRequest& request : requests) sampled(request);
  const WorkerReport between = settled_report(2 + 16);

  std::vector<Answer<SampleReply>> answers;
  for (const SampleRequest& request : requests) answers.push_back(workflow_->start(request));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto together = answers[i].wait();
    ASSERT_TRUE(together.ok()) << together.status().to_string();
    EXPECT_LT(relative_error(*together, alone[i]), 1e-4) << i;
  }
  const WorkerReport after = settled_report(2 + 24);
  const std::uint64_t in_turn = forwards(between) - forwards(before);
  const std::uint64_t at_once = forwards(after) - forwards(between);
  EXPECT_LT(2 * at_once, in_turn) << at_once << " forwards together, " << in_turn << " in turn";
}

TEST_F(Loras, ChangingStrengthsReadsNoFileOnceTheAdaptersAreKnown) {
  for (const LoraApplication how : {LoraApplication::kMerged, LoraApplication::kRowWise})
    sampled(with({{"a.safetensors", 0.1}, {"b.safetensors", 0.1}}, how));
  const WorkerReport before = settled_report(4);
  EXPECT_EQ(before.files_read.at("adapters"), 2u);
  for (int i = 0; i < 10; ++i) {
    const auto how = i % 2 == 0 ? LoraApplication::kMerged : LoraApplication::kRowWise;
    sampled(with({{"a.safetensors", 0.15 * i}, {"b.safetensors", 1 - 0.2 * i}}, how));
  }
  EXPECT_EQ(settled_report(14).files_read, before.files_read);
}

TEST_F(Loras, KillingTheWorkerInTheMiddleOfASwitchLosesNothing) {
  const std::vector<LoraRef> set = {{"a.safetensors", 0.7}, {"b.safetensors", 0.4}};
  const SampleReply undisturbed = sampled(with(set, LoraApplication::kMerged));
  const SampleReply plain = sampled(request_);
  for (int round = 0; round < 3; ++round) {
    const std::vector<pid_t> workers = daemon_->worker_pids();
    ASSERT_EQ(workers.size(), 1u);
    // Another set each time, so that there is something to switch to.
    auto other = workflow_->start(with({{"c.safetensors", 0.1 + round}}, LoraApplication::kMerged));
    auto answer = workflow_->start(with(set, LoraApplication::kMerged));
    kill(workers[0], SIGKILL);
    const auto reply = answer.wait();
    ASSERT_TRUE(reply.ok()) << reply.status().to_string() << "\n" << daemon_->log();
    EXPECT_LT(relative_error(*reply, undisturbed), 1e-4);
    EXPECT_TRUE(other.wait().ok());
    EXPECT_LT(relative_error(sampled(request_), plain), 1e-4) << "the next picture";
    ASSERT_TRUE(wait_until([&] { return daemon_->worker_pids() != workers; }));
  }
}

TEST_F(Loras, AFileThatIsReplacedUnderARunningCallChangesTheNextOneAlone) {
  for (const LoraApplication how : {LoraApplication::kMerged, LoraApplication::kRowWise}) {
    add_lora("a", "first");
    SampleRequest request = with({{"a.safetensors", 1}}, how);
    request.run.steps = 60;
    const SampleReply first = sampled(request);
    std::atomic<int> steps = 0;
    auto running = workflow_->start(request, [&](const SampleProgress&) { ++steps; });
    ASSERT_TRUE(wait_until([&] { return steps > 0; }));
    add_lora("a", "second");
    const auto reply = running.wait();
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    EXPECT_LT(relative_error(*reply, first), 1e-4);
    EXPECT_GT(relative_error(sampled(request), first), 1e-2);
  }
}

TEST_F(Loras, AFileThatTheServerLacksIsUploadedOnceAndNamedByItsContent) {
  const std::filesystem::path elsewhere = folder_.path() / "mine.safetensors";
  std::filesystem::rename(folder_.models() / "loras/c.safetensors", elsewhere);
  const auto name = client_->upload_adapter(elsewhere.string());
  ASSERT_TRUE(name.ok()) << name.status().to_string();
  EXPECT_EQ(*client_->upload_adapter(elsewhere.string()), *name);
  std::filesystem::copy_file(elsewhere, folder_.models() / "loras/c.safetensors");
  const SampleReply by_file = sampled(with({{"c.safetensors", 0.8}}, LoraApplication::kMerged));
  const SampleReply by_hash = sampled(with({{*name, 0.8}}, LoraApplication::kMerged));
  EXPECT_LT(relative_error(by_hash, by_file), 1e-6);
  EXPECT_GT(relative_error(by_hash, sampled(request_)), 1e-3);

  const std::string unknown = "sha256:" + std::string(64, '0');
  const auto refused = workflow_->sample(with({{unknown, 1}}, LoraApplication::kMerged));
  EXPECT_EQ(refused.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(refused.status().message(), HasSubstr("Adapters.Upload"));
  EXPECT_EQ(client_->upload_adapter("/nowhere.safetensors").status().code(), StatusCode::kNotFound);
  EXPECT_LT(relative_error(sampled(with({{*name, 0.8}}, LoraApplication::kRowWise)), by_file),
            1e-4);
}

TEST_F(Loras, TheCommandUploadsWhatADaemonOfAnotherMachineCannotSee) {
  const std::filesystem::path mine = folder_.path() / "mine.safetensors";
  std::filesystem::rename(folder_.models() / "loras/c.safetensors", mine);
  const auto drawn = [&](const std::string& address, const std::string& lora) {
    const std::string output = (folder_.path() / "drawn.png").string();
    const Ended ended = run_program("luna", {"generate", "--address", address, "--prompt", "a boat",
                                             "--width", "128", "--height", "128", "--steps", "3",
                                             "--seed", "1", "--lora", lora, "--output", output});
    EXPECT_EQ(ended.status, 0) << ended.err;
    return read_png(output).value().image.pixels;
  };
  const auto over_tcp = drawn(daemon_->tcp_address(), mine.string());
  EXPECT_EQ(over_tcp, drawn(daemon_->address(), mine.string()));
  const Ended again =
      run_program("luna", {"models", "upload", mine.string(), "--address", daemon_->tcp_address()});
  ASSERT_EQ(again.status, 0) << again.err;
  const std::string name = again.out.substr(0, again.out.find('\n'));
  EXPECT_EQ(name.substr(0, 7), "sha256:");
  EXPECT_EQ(over_tcp, drawn(daemon_->tcp_address(), name));
}

TEST_F(Loras, OneForAnotherFamilyIsRefusedByNameAndTheNextPictureIsRight) {
  SafetensorsWriter writer;
  const std::string layer = "lora_unet_double_blocks_0_img_attn_qkv";
  writer.add(layer + ".lora_up.weight", {8, 1}, uniform_values("up", 8));
  writer.add(layer + ".lora_down.weight", {1, 8}, uniform_values("down", 8));
  writer.write(folder_.models() / "loras/flux.safetensors");
  const SampleReply plain = sampled(request_);
  for (const LoraApplication how : {LoraApplication::kMerged, LoraApplication::kRowWise}) {
    const auto refused = workflow_->sample(with({{"flux.safetensors", 1}}, how));
    EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(refused.status().message(),
                AllOf(HasSubstr("flux.safetensors"), HasSubstr("another family")));
    EXPECT_LT(relative_error(sampled(request_), plain), 1e-4);
  }
}

}  // namespace
}  // namespace luna::support
