// Loading and unloading beside running jobs, and what the report says of memory.
#include <future>

#include <gmock/gmock.h>

#include "daemon/worker/engine/device_engine.h"
#include "tests/unit/daemon/worker/engine/engine_fixture.h"

namespace luna::worker {
namespace {

using testing::SizeIs;

/// The real source, but for reading of one file, which waits until the test lets it.
class SlowSource final : public ModelSource {
 public:
  SlowSource(std::string slow_path, std::shared_future<void> may_read, std::promise<void>& reading)
      : slow_path_(std::move(slow_path)), may_read_(std::move(may_read)), reading_(reading) {}
  Result<std::vector<FoundComponent>> inspect(const std::string& path) override {
    return files_->inspect(path);
  }
  Result<TensorDirectory> directory(const std::string& path) override {
    return files_->directory(path);
  }
  Result<std::shared_ptr<const WeightStore>> read(const std::string& path,
                                                  const FoundComponent& found,
                                                  at::ScalarType storage,
                                                  at::Device device) override {
    if (path == slow_path_) {
      reading_.set_value();
      may_read_.wait();
    }
    return files_->read(path, found, storage, device);
  }
  std::uint64_t reads() const override { return 0; }
  Result<HostWeights> pristine(const std::string& path, const FoundComponent& found) override {
    return files_->pristine(path, found);
  }
  Result<Component> build(const FoundComponent& found, std::shared_ptr<const WeightStore> weights,
                          at::ScalarType compute, at::Device device) override {
    return files_->build(found, std::move(weights), compute, device);
  }

 private:
  const std::unique_ptr<ModelSource> files_ = make_file_source();
  const std::string slow_path_;
  const std::shared_future<void> may_read_;
  std::promise<void>& reading_;
};

class BesideJobs : public EngineTest {
 protected:
  UnloadModelRequest unload_of(const std::string& path) {
    UnloadModelRequest unload;
    unload.path = path;
    unload.restorable = true;
    return unload;
  }
  template <class Reply>
  Reply reply_to(JobRequest request) {
    auto result = run(std::move(request));
    EXPECT_TRUE(result.ok()) << result.status().to_string();
    return result.ok() ? std::get<Reply>(*result) : Reply();
  }
};

TEST_F(BesideJobs, AJobOfAResidentModelRunsToItsEndWhileAnotherModelIsRead) {
  support::TinySd15Options other = tiny_options();
  other.unet_salt = "slow";
  const std::string slow = dir_.file("slow.safetensors");
  support::write_tiny_sd15(slow, other);
  std::promise<void> may_read, reading;
  engine_ = std::make_unique<DeviceEngine>(
      settings_, ComputeDevice::open(settings_).value(),
      ClipTokenizer::load(settings_.clip_vocabulary).value(),
      std::make_unique<SlowSource>(slow, may_read.get_future().share(), reading), make_heap_bytes);
  ASSERT_TRUE(run(sample_request(1)).ok());  // its model is resident now

  Outcome loading;
  engine_->run(job(LoadModelRequest{Slot::kUNet, {slow, Precision::kAuto}}), loading.events());
  reading.get_future().get();
  EXPECT_TRUE(run(sample_request(2)).ok());
  EXPECT_THAT(reply_to<UnloadModelReply>(unload_of(checkpoint())).unloaded, SizeIs(1));
  may_read.set_value();
  EXPECT_TRUE(loading.wait().ok());
}

TEST_F(BesideJobs, WhatAJobUsesIsNotOffloadedAndTheReplyCountsTheJobs) {
  Outcome running, also_running;
  engine_->run(job(sample_request(1, "euler", 10000)), running.events());
  engine_->run(job(sample_request(2, "euler", 10000)), also_running.events());
  running.wait_for_progress(1);
  also_running.wait_for_progress(1);
  const auto held = reply_to<UnloadModelReply>(unload_of(checkpoint()));
  ASSERT_THAT(held.held, SizeIs(1));
  EXPECT_EQ(held.held[0].jobs, 2u);
  EXPECT_EQ(held.freed_bytes, 0u);
  engine_.reset();
  EXPECT_EQ(running.wait().status().code(), StatusCode::kUnavailable);
}

TEST_F(BesideJobs, OffloadAndRestoreChangeNothingInAPicture) {
  const auto before = reply_to<SampleReply>(sample_request(1));
  const auto offloaded = reply_to<UnloadModelReply>(unload_of(checkpoint()));
  ASSERT_THAT(offloaded.unloaded, SizeIs(1));
  EXPECT_EQ(offloaded.freed_bytes, offloaded.unloaded[0].resident_bytes);
  EXPECT_THAT(engine_->report().models, SizeIs(0));
  EXPECT_EQ(engine_->report().memory.at("weights"), 0u);
  EXPECT_THAT(reply_to<RestoreModelReply>(RestoreModelRequest{checkpoint()}).restored, SizeIs(1));
  EXPECT_THAT(engine_->report().models, SizeIs(1));
  const auto after = reply_to<SampleReply>(sample_request(1));
  EXPECT_EQ(floats_of(before.latents.at(0)).value(), floats_of(after.latents.at(0)).value());
}

TEST_F(BesideJobs, TheReportCountsActivationsAsEstimatedAndResultsWhileSomebodyHasThem) {
  EXPECT_FALSE(engine_->report().memory.contains("activations_estimate")) << "nothing ran";
  std::optional<SampleReply> small = reply_to<SampleReply>(sample_request(1));
  const std::uint64_t of_small = engine_->report().memory.at("activations_estimate");
  EXPECT_GT(of_small, 0u);
  SampleRequest wide = sample_request(1);
  wide.rows[0].latent.spec.shape = {4, 32, 32};
  std::optional<SampleReply> large = reply_to<SampleReply>(wide);
  const std::uint64_t of_large = engine_->report().memory.at("activations_estimate");
  EXPECT_GT(of_large, of_small);
  EXPECT_EQ(engine_->report().memory.at("results"),
            small->latents[0].spec.byte_size() + large->latents[0].spec.byte_size());
  small.reset();
  large.reset();
  EXPECT_EQ(engine_->report().memory.at("results"), 0u);
  EXPECT_TRUE(run(sample_request(3)).ok());
  EXPECT_EQ(engine_->report().memory.at("activations_estimate"), of_large) << "the largest so far";
}

TEST_F(BesideJobs, DecodingCountsItsActivationsToo) {
  VaeDecodeRequest decode;
  decode.latent = tensor_of({1, 4, 8, 8}, std::vector<float>(4 * 64, 0.1f));
  ASSERT_TRUE(run(decode).ok());
  EXPECT_GT(engine_->report().memory.at("activations_estimate"), 0u);
}

}  // namespace
}  // namespace luna::worker
