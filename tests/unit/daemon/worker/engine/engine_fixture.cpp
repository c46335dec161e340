#include "tests/unit/daemon/worker/engine/engine_fixture.h"

#include <chrono>

#include "tests/support/deterministic.h"

namespace luna::worker {
namespace {

constexpr std::chrono::seconds kPatience{60};

std::string vocabulary() {
  if (const char* path = std::getenv("LUNA_CLIP_VOCABULARY")) return path;
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "") + "/.cache/luna/clip_merges.txt";
}

}  // namespace

JobEvents Outcome::events() {
  JobEvents events;
  events.on_progress = [this](const SampleProgress& progress) {
    if (on_progress) on_progress(progress);
    std::lock_guard lock(mutex_);
    progress_.push_back(progress);
    changed_.notify_all();
  };
  events.on_done = [this](Result<JobReply> result) {
    std::lock_guard lock(mutex_);
    result_ = std::move(result);
    EXPECT_EQ(++ends_, 1) << "on_done came twice";
    changed_.notify_all();
  };
  return events;
}

Result<JobReply> Outcome::wait() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [this] { return result_.has_value(); })) {
    return error(StatusCode::kInternal, "the job did not end within {} s", kPatience.count());
  }
  return *result_;
}

void Outcome::wait_for_progress(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience,
                    [&] { return progress_.size() >= count || result_.has_value(); });
}

std::vector<SampleProgress> Outcome::progress() {
  std::lock_guard lock(mutex_);
  return progress_;
}

support::TinySd15Options EngineTest::tiny_options() {
  support::TinySd15Options options;
  options.unet_channel_mult = {1, 2};
  options.unet_res_blocks = {1, 1};
  options.unet_transformer_depth = {1, 1};
  return options;
}

const std::string& EngineTest::checkpoint() {
  static const support::TempDir dir;
  static const std::string path = [] {
    const std::string file = dir.file("tiny.safetensors");
    support::write_tiny_sd15(file, tiny_options());
    return file;
  }();
  return path;
}

void EngineTest::SetUp() {
  settings_.threads = 1;
  settings_.clip_vocabulary = vocabulary();
  settings_.embedding_folders = {dir_.path()};
  for (Slot slot : {Slot::kUNet, Slot::kVae, Slot::kClipL})
    models_.slots[slot] = {checkpoint(), Precision::kAuto};
  open(settings_);
}

void EngineTest::open(WorkerSettings settings) {
  engine_.reset();
  auto engine = Engine::open(settings);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  engine_ = std::move(engine).value();
}

Job EngineTest::job(JobRequest request) {
  Job job;
  job.id = JobId{next_job_++};
  job.workflow = "w";
  job.models = models_;
  job.request = std::move(request);
  return job;
}

Result<JobReply> EngineTest::run(JobRequest request) { return run(job(std::move(request))); }

Result<JobReply> EngineTest::run(Job job) {
  Outcome outcome;
  engine_->run(std::move(job), outcome.events());
  return outcome.wait();
}

ConditioningEntry EngineTest::entry(const std::string& name, int tokens) {
  ConditioningEntry entry;
  entry.cross_attn = tensor_of(
      {1, tokens, 64}, support::uniform_values(name, static_cast<std::size_t>(tokens) * 64));
  return entry;
}

SampleRequest EngineTest::sample_request(std::uint64_t seed, const std::string& sampler, int steps,
                                         double cfg) {
  SampleRequest request;
  request.run.sampler = sampler;
  request.run.steps = steps;
  SampleRow row;
  row.latent.spec = {DType::kF32, {4, 8, 8}};
  row.noise.seed = seed;
  row.guidance.cfg = cfg;
  row.conditioning["positive"] = {entry("positive")};
  row.conditioning["negative"] = {entry("negative")};
  request.rows.push_back(row);
  return request;
}

std::uint64_t EngineTest::unet_forwards() const {
  const WorkerReport report = engine_->report();
  const auto unet = report.forwards.find("unet");
  return unet == report.forwards.end() ? 0 : unet->second.forwards;
}

}  // namespace luna::worker
