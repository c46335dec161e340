// SDXL's two text encoders, from a single file's names, against ComfyUI.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/models/clip_text.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

using Chunks = std::vector<std::vector<Token>>;
constexpr double kParity = 1e-4;

class Sdxl : public testing::Test {
 protected:
  Chunks chunks(const std::string& name) const { return recorded_.chunks(name); }
  std::shared_ptr<const TextEncoder> encoder(Slot slot) const {
    return ClipTextEncoder::build(model_.weights(slot), slot, at::kCPU).value();
  }

  ParityFixture recorded_{"sdxl"};
  TinyModel model_{[] {
    auto options = support::TinySd15Options::sdxl();
    options.with_vae = false;
    return options;
  }()};
};

TEST_F(Sdxl, AllComponentsOfASingleFileAreFound) {
  std::vector<std::string> found;
  for (const DetectedComponent& component : model_.components())
    found.push_back(std::string(slot_name(component.info.slot)) + "/" + component.info.family);
  EXPECT_THAT(found, testing::UnorderedElementsAre("unet/sdxl", "clip_l/clip_l", "clip_g/clip_g"));
}

TEST_F(Sdxl, BothEncodersSideBySideGiveTheStatesBeforeTheLastLayerAndTheProjectedVector) {
  const auto l = encoder(Slot::kClipL), g = encoder(Slot::kClipG);
  EXPECT_EQ(g->token_key(), "g");
  EXPECT_EQ(g->pad(), 0);
  const std::map<std::string, int> cases = {
      {"0", 2}, {"5", 2}, {"weighted_200", 2}, {"skip_1", 1}, {"skip_3", 3}};
  for (const auto& [name, layer] : cases) {
    const auto left = l->encode(chunks(name + ".l"), {layer, false});
    const auto right = g->encode(chunks(name + ".g"), {layer, false});
    ASSERT_TRUE(left.ok() && right.ok()) << name;
    const at::Tensor hidden = at::cat({left->hidden, right->hidden}, -1);
    EXPECT_LE(recorded_.error_of(name + ".hidden", hidden), kParity) << name;
    EXPECT_LE(recorded_.error_of(name + ".pooled", right->pooled), kParity) << name;
  }
}

TEST_F(Sdxl, TransformersNamesWithSeparateProjectionsGiveTheSameClipG) {
  const auto fused = model_.weights(Slot::kClipG);
  WeightStore::Tensors tensors;
  for (const auto& [name, tensor] : fused->tensors()) {
    const std::size_t at = name.find("in_proj");
    if (name == "text_projection") {
      tensors["text_projection.weight"] = tensor.t().contiguous();
    } else if (at == std::string::npos) {
      tensors[name] = tensor;
    } else {
      const std::vector<at::Tensor> parts = tensor.chunk(3, 0);
      const std::vector<std::string> names = {"q_proj", "k_proj", "v_proj"};
      for (std::size_t i = 0; i < 3; ++i)
        tensors[std::string(name).replace(at, 7, names[i])] = parts[i].contiguous();
    }
  }
  const auto separate =
      ClipTextEncoder::build(std::make_shared<const WeightStore>(
                                 std::move(tensors), std::map<std::string, std::string>(), ""),
                             Slot::kClipG, at::kCPU);
  ASSERT_TRUE(separate.ok()) << separate.status().to_string();
  const auto one = encoder(Slot::kClipG)->encode(chunks("5.g"), {2, false});
  const auto other = (*separate)->encode(chunks("5.g"), {2, false});
  EXPECT_LE(relative(other->hidden, one->hidden), 1e-5);
  EXPECT_LE(relative(other->pooled, one->pooled), 1e-5);
}

TEST_F(Sdxl, TheUNetSaysWhatItsVectorConditioningIs) {
  const auto unet = model_.unet();
  EXPECT_EQ(unet->traits().family, "sdxl");
  EXPECT_EQ(unet->traits().vector, VectorConditioning::kSdxl);
  EXPECT_EQ(unet->traits().vector_width, 128 + 6 * kSizeWidth);
  EXPECT_EQ(unet->traits().context_width, 64 + 128);
  EXPECT_EQ(unet->traits().latent_scale, 0.13025);
}

}  // namespace
}  // namespace luna::worker
