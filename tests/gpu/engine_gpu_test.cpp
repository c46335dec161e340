// The engine on cuda:0 beside the engine on the CPU, over the same small checkpoint. Without a
// device these tests are skipped, unless LUNA_REQUIRE_GPU says that there must be one.
#include <chrono>
#include <cstdlib>
#include <future>

#include <gtest/gtest.h>

#include "daemon/worker/cuda/cuda_backend.h"
#include "daemon/worker/engine/engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tensor_error.h"
#include "tests/support/tiny_sd15.h"
#include "tests/support/wait_until.h"

namespace luna::worker {
namespace {

std::string vocabulary() {
  if (const char* path = std::getenv("LUNA_CLIP_VOCABULARY")) return path;
  return std::string(std::getenv("HOME")) + "/.cache/luna/clip_merges.txt";
}

/// One engine and the ways a test uses it.
class Device {
 public:
  Device(const std::string& name, const std::string& checkpoint, Precision precision) {
    WorkerSettings settings;
    settings.device = name;
    settings.clip_vocabulary = vocabulary();
    auto opened = Engine::open(settings);
    EXPECT_TRUE(opened.ok()) << opened.status().to_string();
    if (opened.ok()) engine_ = std::move(opened).value();
    for (Slot slot : {Slot::kUNet, Slot::kClipL, Slot::kVae})
      models_.slots[slot] = {checkpoint, precision};
  }

  std::future<Result<JobReply>> start(JobRequest request) {
    auto promise = std::make_shared<std::promise<Result<JobReply>>>();
    Job job;
    job.id.value = ++jobs_;
    job.workflow = "gpu";
    job.models = models_;
    job.request = std::move(request);
    engine_->run(std::move(job),
                 {[](const SampleProgress&) {},
                  [promise](Result<JobReply> reply) { promise->set_value(std::move(reply)); }});
    return promise->get_future();
  }
  template <class Reply>
  Reply run(JobRequest request) {
    auto reply = start(std::move(request)).get();
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    return reply.ok() ? std::get<Reply>(std::move(reply).value()) : Reply();
  }
  Engine& engine() { return *engine_; }

 private:
  std::unique_ptr<Engine> engine_;
  ModelSet models_;
  std::uint64_t jobs_ = 0;
};

SampleRequest request_for(const EncodeTextReply& text, std::uint64_t seed, int cells,
                          const std::string& sampler = "euler", int steps = 8) {
  SampleRow row;
  row.latent.spec = {DType::kF32, {4, cells, cells}};
  row.noise.seed = seed;
  ConditioningEntry entry;
  entry.cross_attn = text.cross_attn;
  row.conditioning["positive"] = {entry};
  row.conditioning["negative"] = {entry};
  row.guidance.cfg = 3;
  SampleRequest request;
  request.run.sampler = sampler;
  request.run.steps = steps;
  request.rows.push_back(std::move(row));
  return request;
}

std::vector<float> values(const TensorRef& tensor) {
  auto floats = floats_of(tensor);
  EXPECT_TRUE(floats.ok()) << floats.status().to_string();
  return floats.ok() ? std::move(floats).value() : std::vector<float>();
}

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = open_cuda(0);
    if (!backend.ok()) {
      if (std::getenv("LUNA_REQUIRE_GPU"))
        FAIL() << "LUNA_REQUIRE_GPU is set: " << backend.status().to_string();
      GTEST_SKIP() << "no GPU: " << backend.status().to_string();
    }
    backend_ = backend.value();
    checkpoint_ = dir_.file("tiny.safetensors");
    support::write_tiny_sd15(checkpoint_);
  }

  support::TempDir dir_;
  std::string checkpoint_;
  CudaBackend* backend_ = nullptr;
};

class GpuPrecisionTest : public GpuTest,
                         public testing::WithParamInterface<std::pair<Precision, double>> {};

TEST_P(GpuPrecisionTest, TextLatentsAndPixelsAreThoseOfTheCpu) {
  const auto [precision, bound] = GetParam();
  Device gpu("cuda:0", checkpoint_, precision), cpu("cpu", checkpoint_, Precision::kF32);
  EncodeTextRequest prompt;
  prompt.text = "a (red:1.2) boat on a lake";
  const auto text = cpu.run<EncodeTextReply>(prompt);
  EXPECT_THAT(values(gpu.run<EncodeTextReply>(prompt).cross_attn),
              support::IsNear(values(text.cross_attn), bound));

  DenoiseRequest denoise;
  DenoiseRow row;
  const std::vector<float> state(4 * 16 * 16, 0.5f);
  row.x = tensor_of({4, 16, 16}, state);
  row.sigma = 2.0;
  row.conditioning.cross_attn = text.cross_attn;
  denoise.rows.push_back(row);
  EXPECT_THAT(values(gpu.run<DenoiseReply>(denoise).denoised[0]),
              support::IsNear(values(cpu.run<DenoiseReply>(denoise).denoised[0]), bound));

  VaeDecodeRequest decode;
  decode.latent = tensor_of({1, 4, 16, 16}, state);
  EXPECT_THAT(values(gpu.run<VaeDecodeReply>(decode).pixels),
              support::IsNear(values(cpu.run<VaeDecodeReply>(decode).pixels), bound));
}

INSTANTIATE_TEST_SUITE_P(Precisions, GpuPrecisionTest,
                         testing::Values(std::pair(Precision::kF32, 5e-3),
                                         std::pair(Precision::kBF16, 5e-2),
                                         std::pair(Precision::kF16, 2e-2)),
                         [](const auto& info) {
                           return std::string(precision_name(info.param.first));
                         });

TEST_F(GpuTest, EightDifferentJobsShareForwardsAndEqualTheirSoloRuns) {
  Device gpu("cuda:0", checkpoint_, Precision::kF32);
  EncodeTextRequest prompt;
  prompt.text = "a red boat";
  const auto text = gpu.run<EncodeTextReply>(prompt);
  const std::vector<std::string> samplers = {"euler", "heun", "dpmpp_2m", "ddim",
                                             "euler", "lcm",  "uni_pc",   "dpmpp_2m"};
  const auto forwards = [&] { return gpu.engine().report().forwards["unet"].forwards; };
  std::vector<std::vector<float>> alone;
  const std::uint64_t before = forwards();
  for (int i = 0; i < 8; ++i) {
    alone.push_back(
        values(gpu.run<SampleReply>(request_for(text, i, 16, samplers[i], 10 + i)).latents[0]));
  }
  const std::uint64_t in_turn = forwards() - before;
  std::vector<std::future<Result<JobReply>>> together;
  for (int i = 0; i < 8; ++i)
    together.push_back(gpu.start(request_for(text, i, 16, samplers[i], 10 + i)));
  for (int i = 0; i < 8; ++i) {
    auto reply = together[i].get();
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    EXPECT_THAT(values(std::get<SampleReply>(*reply).latents[0]), support::IsNear(alone[i], 5e-3))
        << samplers[i];
  }
  EXPECT_LT(2 * (forwards() - before - in_turn), in_turn);
}

TEST_F(GpuTest, APictureTooLargeForTheDeviceIsAnErrorAndTheNextOneWorks) {
  Device gpu("cuda:0", checkpoint_, Precision::kF32);
  EncodeTextRequest prompt;
  const auto text = gpu.run<EncodeTextReply>(prompt);
  // 16,000 latent cells each way: the first feature map alone is 32 GiB.
  auto refused = gpu.start(request_for(text, 1, 16000, "euler", 1)).get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted)
      << refused.status().to_string();
  EXPECT_EQ(gpu.run<SampleReply>(request_for(text, 1, 16)).latents.size(), 1u);
}

TEST_F(GpuTest, UnloadingGivesTheMemoryBack) {
  Device gpu("cuda:0", checkpoint_, Precision::kF32);
  const auto in_use = [&] { return backend_->memory(0).value().in_use_bytes; };
  const std::uint64_t before = in_use();
  gpu.run<LoadModelReply>(LoadModelRequest{Slot::kUNet, {checkpoint_, Precision::kF32}});
  EXPECT_GT(in_use(), before);
  gpu.run<UnloadModelReply>(UnloadModelRequest{checkpoint_});
  EXPECT_TRUE(support::wait_until([&] { return in_use() == before; }));
}

}  // namespace
}  // namespace luna::worker
