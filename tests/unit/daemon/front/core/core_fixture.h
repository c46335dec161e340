#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/front/core/front_core.h"
#include "daemon/front/core/worker_table.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/daemon/front/core/fake_worker.h"

namespace luna::front {

/// How one call went.
struct Outcome {
  JobId id;
  int answers = 0;
  std::optional<Result<JobReply>> result;
  std::vector<int> steps;

  bool done() const { return answers > 0; }
  bool ok() const { return result && result->ok(); }
  StatusCode code() const { return result ? result->status().code() : StatusCode::kOk; }
  std::string message() const { return result ? result->status().message() : "no answer"; }
};

/// A core over two model roots' worth of files, workers that the test plays, and a clock that it
/// turns.
class CoreTest : public testing::Test {
 protected:
  CoreTest() {
    config_.models.roots = {root()};
    for (const char* file : {"checkpoints/full.safetensors", "checkpoints/other.safetensors",
                             "vae/vae.safetensors", "loras/style.safetensors"}) {
      write(file);
    }
    contents_["full.safetensors"] = {Slot::kUNet, Slot::kVae, Slot::kClipL};
    contents_["other.safetensors"] = {Slot::kUNet, Slot::kVae, Slot::kClipL};
    contents_["vae.safetensors"] = {Slot::kVae};
  }

  std::string root() const { return (std::filesystem::path(folder_.path()) / "models").string(); }
  void write(const std::string& name) {
    const std::filesystem::path path = std::filesystem::path(root()) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << name;
  }
  std::string path_of(const std::string& name) const {
    return (std::filesystem::canonical(root()) / name).string();
  }

  FrontCore& core() {
    if (!core_) {
      core_ = std::make_unique<FrontCore>(
          std::make_shared<const Config>(config_), [this] { return now_; },
          [this](const Job& job) { return fingerprint_of(job); });
    }
    return *core_;
  }

  /// Samples are told by their seed.
  std::string fingerprint_of(const Job& job) {
    ++fingerprints_;
    if (std::holds_alternative<SampleRequest>(job.request)) {
      return fmt::format("sample {}", seed_of(job));
    }
    if (const auto* inspect = std::get_if<InspectModelRequest>(&job.request)) return inspect->path;
    return fmt::format("job {}", job.id.value);
  }

  static WorkerEnd crash(const std::string& how = "killed by signal 11") {
    return {WorkerEnd::Kind::kCrash, how};
  }
  static WorkerEnd killed() { return {WorkerEnd::Kind::kFromOutside, "killed by signal 9"}; }
  static WorkerEnd replaced_at_once() {
    return {WorkerEnd::Kind::kFromOutside, "killed by signal 9", true};
  }
  static WorkerEnd hang() { return {WorkerEnd::Kind::kHang, "no heartbeat"}; }

  /// A ready worker that answers inspections and loads, and leaves all else to the test.
  std::shared_ptr<FakeWorker> add_worker(std::uint64_t id, const std::string& pool = "default") {
    core().worker_starting(WorkerId{id}, pool, 1000 + static_cast<int>(id));
    auto worker = std::make_shared<FakeWorker>(id);
    worker->answer = [this](const Job& job) { return answer_about_files(job); };
    core().worker_ready(worker, "cpu");
    return worker;
  }

  std::optional<Result<JobReply>> answer_about_files(const Job& job) {
    if (const auto* inspect = std::get_if<InspectModelRequest>(&job.request)) {
      ++inspections_;
      const std::string name = std::filesystem::path(inspect->path).filename();
      InspectModelReply reply;
      for (const Slot slot : contents_[name]) {
        reply.components.push_back({.slot = slot, .family = "sd1"});
      }
      return Result<JobReply>(reply);
    }
    if (std::holds_alternative<LoadModelRequest>(job.request)) {
      return Result<JobReply>(LoadModelReply{});
    }
    return std::nullopt;
  }

  Result<WorkflowInfo> register_workflow(const std::string& id, RequestedModels models,
                                         std::uint32_t ttl = 0, bool preload = false,
                                         bool local = true) {
    std::optional<Result<WorkflowInfo>> answer;
    Caller caller;
    caller.local = local;
    core().register_workflow(caller, id, std::move(models), ttl, preload,
                             [&](Result<WorkflowInfo> info) { answer = std::move(info); });
    if (!answer) return Status(StatusCode::kInternal, "registration did not end");
    return *answer;
  }
  Result<WorkflowInfo> register_checkpoint(const std::string& id, const std::string& file) {
    return register_workflow(id, {.checkpoint = ModelRef{file}});
  }

  static Caller caller(const std::string& workflow, const std::string& session = "") {
    Caller caller;
    caller.workflow_id = workflow;
    caller.session_id = session;
    return caller;
  }

  std::shared_ptr<Outcome> submit(const Caller& caller, JobRequest request) {
    auto outcome = std::make_shared<Outcome>();
    JobEvents events;
    events.on_progress = [outcome](const SampleProgress& p) { outcome->steps.push_back(p.step); };
    events.on_done = [outcome](Result<JobReply> result) {
      ++outcome->answers;
      outcome->result = std::move(result);
    };
    outcome->id = core().submit(caller, std::move(request), std::move(events));
    return outcome;
  }

  static SampleRequest sample(std::uint64_t seed = 0) {
    SampleRow row;
    row.latent.spec = {DType::kF32, {4, 8, 8}};
    row.noise.seed = seed;
    ConditioningEntry entry;
    entry.cross_attn.spec = {DType::kF32, {1, 77, 768}};
    row.conditioning["positive"] = {entry};
    SampleRequest request;
    request.rows = {row};
    return request;
  }
  static std::uint64_t seed_of(const Job& job) {
    return std::get<SampleRequest>(job.request).rows.at(0).noise.seed;
  }
  static JobReply sampled(float value) {
    return SampleReply{.latents = {tensor_of({1, 1, 1}, std::vector<float>{value})}};
  }
  static float value_of(const Outcome& outcome) {
    return floats_of(std::get<SampleReply>(**outcome.result).latents.at(0))->at(0);
  }
  void advance(std::chrono::nanoseconds time) { now_ += time; }

  support::TempDir folder_;
  Config config_;
  std::map<std::string, std::vector<Slot>> contents_;
  int inspections_ = 0;
  int fingerprints_ = 0;
  TimePoint now_ = TimePoint(std::chrono::hours(1));
  std::unique_ptr<FrontCore> core_;
};

}  // namespace luna::front
