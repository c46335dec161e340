#include <limits>

#include <gmock/gmock.h>

#include "daemon/worker/engine/latent_preview.h"
#include "daemon/worker/ops/tensor_ref.h"
#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/tiny_taesd.h"
#include "tests/unit/daemon/worker/engine/engine_fixture.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A workflow with a made-up TAESD decoder in its preview slot.
class PreviewModel : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    use_channels(4);
  }
  void use_channels(int channels) {
    const std::string path = dir_.file(std::to_string(channels) + ".safetensors");
    support::write_tiny_taesd(path, channels);
    models_.slots[Slot::kPreview] = {path, Precision::kAuto};
  }
  std::shared_ptr<const TaesdDecoder> decoder() {
    return TaesdDecoder::build(
               load_weights({.path = models_.slots[Slot::kPreview].path, .rename = {}}).value(),
               at::kFloat, at::kCPU)
        .value();
  }
  SampleRequest previewed() {
    SampleRequest request = sample_request(1);
    request.previews = {2, 4096};
    return request;
  }
};

TEST_F(PreviewModel, DecodesX0OfThePreviewedStepsForEveryRow) {
  SampleRequest request = previewed();
  request.rows.push_back(sample_request(2).rows[0]);
  Outcome outcome;
  engine_->run(job(request), outcome.events());
  const auto reply = outcome.wait();
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto progress = outcome.progress();
  ASSERT_EQ(progress.size(), 4u);
  EXPECT_FALSE(progress[0].preview || progress[2].preview);
  ASSERT_TRUE(progress[1].preview && progress[3].preview);
  EXPECT_EQ(progress[1].preview->spec.to_string(), "u8[2,64,64,3]");
  // x0 of the last step is the result, in the model's scale.
  std::vector<at::Tensor> x0;
  for (const TensorRef& latent : std::get<SampleReply>(*reply).latents)
    x0.push_back(host_tensor(latent, "latent").value() * 0.18215);
  const at::Tensor expected = decoded_preview(*decoder(), at::stack(x0), 4096);
  const at::Tensor found = host_tensor(*progress[3].preview, "preview").value();
  EXPECT_LE((found.to(at::kInt) - expected.to(at::kInt)).abs().max().item<int>(), 1);
  EXPECT_GT((found.max() - found.min()).item<int>(), 10);
}

TEST_F(PreviewModel, IsLoadedByCallsThatAskForPreviewsAlone) {
  ASSERT_TRUE(run(sample_request(1)).ok());
  EXPECT_EQ(engine_->report().models.size(), 1u);
  ASSERT_TRUE(run(previewed()).ok());
  EXPECT_EQ(engine_->report().models.size(), 2u);
}

TEST_F(PreviewModel, OfOtherChannelsThanTheUNetsIsRefusedAndBothAreNamed) {
  use_channels(16);
  const Status status = run(previewed()).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("latents of 16 channels"), HasSubstr("UNet (sd1) makes 4")));
  EXPECT_TRUE(run(sample_request(1)).ok());
}

TEST_F(PreviewModel, GivesPicturesOfTheSizeOfPreviewsWithoutOne) {
  DenoiserTraits traits;
  traits.family = "sd1";
  const at::Tensor x0 = at::ones({2, 4, 12, 5});
  for (const int edge : {1, 7, 50, 4096}) {
    EXPECT_EQ(decoded_preview(*decoder(), x0, edge).sizes(),
              latent_preview(traits, x0, edge).sizes());
  }
}

TEST_F(PreviewModel, ShowsALatentThatIsNoneInBlack) {
  const at::Tensor x0 = at::full({1, 4, 4, 4}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(decoded_preview(*decoder(), x0, 20).max().item<int>(), 0);
}

}  // namespace
}  // namespace luna::worker
