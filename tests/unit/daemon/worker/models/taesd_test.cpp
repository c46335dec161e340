#include "daemon/worker/models/taesd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/tiny_taesd.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Taesd : public testing::Test {
 protected:
  std::shared_ptr<const WeightStore> weights(int channels, int width) {
    support::write_tiny_taesd(path_, channels, width);
    return load_weights({.path = path_, .rename = [](const std::string& name) { return name; }})
        .value();
  }
  std::shared_ptr<const TaesdDecoder> decoder(int channels, int width) {
    return TaesdDecoder::build(weights(channels, width), at::kFloat, at::kCPU).value();
  }

  support::TempDir folder_;
  const std::string path_ = folder_.file("taesd.safetensors");
};

TEST_F(Taesd, DecodesAsComfyUiAtThePublishedWidthLatentsOf4And16Channels) {
  const ParityFixture recorded("taesd");
  const at::Tensor pixels = decoder(4, 64)->decode(made_up("taesd_4.latent", {1, 4, 5, 7}, 6));
  EXPECT_EQ(pixels.sizes(), at::IntArrayRef({1, 3, 40, 56}));
  EXPECT_LE(recorded.error_of("4", pixels), 1e-4);
  const at::Tensor latents = made_up("taesd_16.latent", {2, 16, 3, 4}, 6);
  EXPECT_LE(recorded.error_of("16", decoder(16, 64)->decode(latents)), 1e-4);
}

TEST_F(Taesd, IsTheComponentOfThePreviewSlotAtAnyWidth) {
  const auto store = weights(16, 12);
  TensorDirectory directory = read_directory(path_).value();
  const auto found = detect_components(directory);
  ASSERT_TRUE(found.ok() && found->size() == 1);
  const ComponentInfo& info = found->front().info;
  EXPECT_EQ(info.slot, Slot::kPreview);
  EXPECT_EQ(info.description, "TAESD decoder: 16 latent channels, width 12");
  const auto built = build_component(info, store, at::kFloat, at::kCPU);
  ASSERT_TRUE(built.ok()) << built.status().to_string();
  EXPECT_EQ(std::get<std::shared_ptr<const TaesdDecoder>>(*built)->latent_channels(), 16);
  directory.tensors["3.pool.0.weight"] = {DType::kF32, {48, 12, 1, 1}};
  EXPECT_EQ(detect_components(directory).status().code(), StatusCode::kUnimplemented) << "Flux2's";
}

TEST_F(Taesd, EveryMissingOrMisshapenTensorIsNamed) {
  WeightStore::Tensors tensors = weights(4, 8)->tensors();
  tensors.erase("12.weight");
  tensors["18.conv.4.bias"] = at::zeros({9});
  const auto refusal = [&] {
    return TaesdDecoder::build(std::make_shared<const WeightStore>(
                                   tensors, std::map<std::string, std::string>(), ""),
                               at::kFloat, at::kCPU)
        .status();
  };
  EXPECT_EQ(refusal().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refusal().message(),
              AllOf(HasSubstr("'12.weight' is missing"),
                    HasSubstr("'18.conv.4.bias' has shape [9], expected [8]")));
  tensors["1.weight"] = at::zeros({8});
  EXPECT_THAT(refusal().message(), HasSubstr("'1.weight' has shape [8], expected [8,0,3,3]"));
}

}  // namespace
}  // namespace luna::worker
