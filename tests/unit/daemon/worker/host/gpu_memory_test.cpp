// The engine with tensors in GPU memory, over a device that is scripted in host memory: what goes
// in and comes out there is bit by bit what goes through the host.
#include <cstdlib>
#include <cstring>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/engine/engine.h"
#include "daemon/worker/exchange/cuda_plane.h"
#include "tests/support/deterministic.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"
#include "tests/support/wait_until.h"
#include "tests/unit/daemon/worker/cuda/scripted_sharing.h"

namespace luna::worker {
namespace {

using ::testing::HasSubstr;

std::string vocabulary() {
  if (const char* path = std::getenv("LUNA_CLIP_VOCABULARY")) return path;
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "") + "/.cache/luna/clip_merges.txt";
}

class GpuMemory : public testing::Test {
 protected:
  void open(std::uint64_t outbox_bytes, bool with_plane = true) {
    WorkerSettings settings;
    settings.threads = 1;
    settings.clip_vocabulary = vocabulary();
    CudaPlaneOptions options;
    options.device = -1;
    options.device_uuid = "GPU-a";
    options.outbox_bytes = outbox_bytes;
    auto opened = Engine::open(settings, make_heap_bytes, nullptr,
                               with_plane ? make_cuda_plane(sharing_, options) : nullptr);
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    engine_ = std::move(opened).value();
  }

  Result<JobReply> run(JobRequest request, bool cuda_results = false) {
    static const support::TempDir dir;
    static const std::string checkpoint = [] {
      std::string file = dir.file("tiny.safetensors");
      support::write_tiny_sd15(file);
      return file;
    }();
    Job job;
    job.id.value = ++jobs_;
    job.workflow = "w";
    for (Slot slot : {Slot::kUNet, Slot::kVae, Slot::kClipL})
      job.models.slots[slot] = {checkpoint, Precision::kF32};
    job.request = std::move(request);
    job.session = "s";
    job.cuda_results = cuda_results;
    auto promise = std::make_shared<std::promise<Result<JobReply>>>();
    auto future = promise->get_future();
    engine_->run(std::move(job),
                 {[](const SampleProgress&) {},
                  [promise](Result<JobReply> reply) { promise->set_value(std::move(reply)); }});
    return future.get();
  }
  template <class Reply>
  Reply reply_to(JobRequest request, bool cuda_results = false) {
    auto reply = run(std::move(request), cuda_results);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    return reply.ok() ? std::get<Reply>(std::move(reply).value()) : Reply();
  }

  TensorRef on_gpu(const std::string& name, std::vector<std::int64_t> shape,
                   const std::vector<float>& values) {
    const auto* bytes = reinterpret_cast<const char*>(values.data());
    return {{DType::kF32, std::move(shape)},
            CudaHandle{"GPU-a", sharing_.export_memory(name, {bytes, values.size() * 4})}};
  }
  /// What a client would read at the handle of a result.
  std::vector<float> read(const TensorRef& tensor) {
    const auto& handle = std::get<CudaHandle>(tensor.place);
    std::vector<float> values(static_cast<std::size_t>(tensor.spec.numel()));
    std::memcpy(values.data(), sharing_.slab() + handle.offset, tensor.spec.byte_size());
    return values;
  }
  static SampleRequest sample(TensorRef latent) {
    SampleRow row;
    row.latent = std::move(latent);
    row.noise.seed = 5;
    ConditioningEntry entry;
    entry.cross_attn =
        tensor_of({1, 77, 64}, support::uniform_values("context", std::size_t{77} * 64));
    row.conditioning["positive"] = {entry};
    row.guidance.cfg = 1;
    SampleRequest request;
    request.run.steps = 2;
    request.run.denoise = 0.5;
    request.rows.push_back(std::move(row));
    return request;
  }

  ScriptedSharing sharing_;
  std::unique_ptr<Engine> engine_;
  std::uint64_t jobs_ = 0;
};

TEST_F(GpuMemory, LatentsAndPixelsThatComeThereGiveTheBitsOfThoseThroughTheHost) {
  open(1 << 24);
  const auto latent = support::uniform_values("latent", 4 * 8 * 8);
  const auto pixels = support::uniform_values("pixels", 64 * 64 * 3);
  VaeDecodeRequest decode;
  decode.latent = tensor_of({1, 4, 8, 8}, latent);
  const auto shown = *floats_of(reply_to<VaeDecodeReply>(decode).pixels);
  decode.latent = on_gpu("latent", {1, 4, 8, 8}, latent);
  EXPECT_EQ(*floats_of(reply_to<VaeDecodeReply>(decode).pixels), shown);

  VaeEncodeRequest encode;
  encode.pixels = tensor_of({1, 64, 64, 3}, pixels);
  const auto encoded = *floats_of(reply_to<VaeEncodeReply>(encode).latent);
  encode.pixels = on_gpu("pixels", {1, 64, 64, 3}, pixels);
  EXPECT_EQ(*floats_of(reply_to<VaeEncodeReply>(encode).latent), encoded);

  const auto sampled =
      *floats_of(reply_to<SampleReply>(sample(tensor_of({4, 8, 8}, latent))).latents[0]);
  EXPECT_EQ(*floats_of(reply_to<SampleReply>(sample(on_gpu("x", {4, 8, 8}, latent))).latents[0]),
            sampled);
}

TEST_F(GpuMemory, ResultsThatStayThereHaveTheBitsOfThoseThroughTheHost) {
  open(1 << 24);
  const auto latent = support::uniform_values("latent", 4 * 8 * 8);
  VaeDecodeRequest decode;
  decode.latent = tensor_of({1, 4, 8, 8}, latent);
  const TensorRef host = reply_to<VaeDecodeReply>(decode).pixels;
  const TensorRef there = reply_to<VaeDecodeReply>(decode, true).pixels;
  EXPECT_EQ(there.spec, host.spec);
  EXPECT_EQ(read(there), *floats_of(host));

  const SampleRequest request = sample(tensor_of({4, 8, 8}, latent));
  EXPECT_EQ(read(reply_to<SampleReply>(request, true).latents[0]),
            *floats_of(reply_to<SampleReply>(request).latents[0]));
  EncodeTextRequest text;
  text.text = "a red boat";
  EXPECT_EQ(read(reply_to<EncodeTextReply>(text, true).cross_attn),
            *floats_of(reply_to<EncodeTextReply>(text).cross_attn));
}

TEST_F(GpuMemory, AResultStaysThereAndGoesIntoTheNextCallWithoutTheHost) {
  open(1 << 24);
  const SampleRequest request =
      sample(tensor_of({4, 8, 8}, support::uniform_values("latent", 4 * 8 * 8)));
  TensorRef latent = reply_to<SampleReply>(request, true).latents[0];
  latent.spec.shape = {1, 4, 8, 8};
  VaeDecodeRequest decode;
  decode.latent = latent;
  const auto there = read(reply_to<VaeDecodeReply>(decode, true).pixels);
  decode.latent = reply_to<SampleReply>(request).latents[0];
  decode.latent.spec.shape = {1, 4, 8, 8};
  EXPECT_EQ(there, *floats_of(reply_to<VaeDecodeReply>(decode).pixels));
}

TEST_F(GpuMemory, BeyondTheOutboxAResultComesByTheHostAndItsPlaceSaysSo) {
  open(1 << 14);  // 16 KiB; the pixels have 48
  VaeDecodeRequest decode;
  decode.latent = tensor_of({1, 4, 8, 8}, support::uniform_values("latent", 4 * 8 * 8));
  EXPECT_NE(reply_to<VaeDecodeReply>(decode, true).pixels.host_bytes(), nullptr);
}

TEST_F(GpuMemory, ReleasedLeasesAndEndedSessionsMakeRoom) {
  open(1 << 16);
  VaeDecodeRequest decode;
  decode.latent = tensor_of({1, 4, 8, 8}, support::uniform_values("latent", 4 * 8 * 8));
  const auto there = [&] {
    const TensorRef pixels = reply_to<VaeDecodeReply>(decode, true).pixels;
    const auto* handle = std::get_if<CudaHandle>(&pixels.place);
    return handle ? handle->lease_id : "";
  };
  const std::string lease = there();
  EXPECT_NE(lease, "");
  EXPECT_EQ(there(), "") << "two do not fit";
  engine_->release_leases({lease});
  EXPECT_NE(there(), "");
  engine_->end_session("s");
  EXPECT_NE(there(), "");
}

TEST_F(GpuMemory, ACallThatFailsLeavesNoLease) {
  open(1 << 16);
  SampleRequest two = sample(tensor_of({4, 8, 8}, support::uniform_values("l", 4 * 8 * 8)));
  two.rows.push_back(two.rows[0]);
  const auto all = reply_to<LeaseCudaReply>(LeaseCudaRequest{"GPU-a", (1 << 16) - 2048});
  sharing_.copies_until_failure = 1;  // the second row's copy fails
  const auto failed = run(two, true);
  EXPECT_EQ(failed.status().code(), StatusCode::kInternal) << failed.status().to_string();
  EXPECT_TRUE(run(LeaseCudaRequest{"GPU-a", 2048}).ok());
}

TEST_F(GpuMemory, AMemoryThatLiesIsRefusedByNameAndTheNextCallWorks) {
  open(1 << 24);
  VaeDecodeRequest decode;
  decode.latent = on_gpu("small", {1, 4, 8, 8}, std::vector<float>(10));
  const auto refused = run(decode);
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("latent: 1024 bytes from offset 0 do not lie within an allocation of 40"));
  decode.latent = on_gpu("nan", {1, 4, 8, 8}, std::vector<float>(256, std::nanf("")));
  EXPECT_THAT(run(decode).status().message(), HasSubstr("found NaN or infinity"));
  decode.latent = on_gpu("good", {1, 4, 8, 8}, std::vector<float>(256, 0.5f));
  EXPECT_TRUE(run(decode).ok());
  engine_->end_session("s");
  EXPECT_TRUE(support::wait_until([&] {
    (void)run(TokenizeRequest{"x"});
    return sharing_.open() == 0;
  }));
  EXPECT_EQ(sharing_.broken_rules, 0);
}

TEST_F(GpuMemory, AWorkerOnTheCpuRefusesItByName) {
  open(0, false);
  VaeDecodeRequest decode;
  decode.latent = on_gpu("a", {1, 4, 8, 8}, std::vector<float>(256, 0.5f));
  const auto refused = run(decode);
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      refused.status().message(),
      HasSubstr("latent: memory of GPU-a cannot be read by this worker, whose device is cpu"));
  EXPECT_EQ(run(LeaseCudaRequest{"GPU-a", 16}).status().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace luna::worker
