#include "daemon/worker/sampling/guidance.h"

#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/sampling/fixture.h"

namespace luna::worker {
namespace {

constexpr double kRounding = 3e-7;

const Fixture& fixture() {
  static const Fixture loaded("sampling_tables");
  return loaded;
}

TEST(Cfg, GoesFromTheNegativeThroughThePositive) {
  const at::Tensor cond = at::full({1, 1, 1, 2}, 3.0F);
  const at::Tensor uncond = at::full({1, 1, 1, 2}, 1.0F);
  EXPECT_TRUE(at::equal(cfg_combine(cond, uncond, 1), cond));
  EXPECT_TRUE(at::equal(cfg_combine(cond, uncond, 0), uncond));
  EXPECT_TRUE(at::equal(cfg_combine(cond, uncond, 7), at::full({1, 1, 1, 2}, 15.0F)));
}

TEST(Cfg, OfOneNeedsNoNegative) {
  EXPECT_TRUE(cfg_ignores_uncond(1));
  EXPECT_TRUE(cfg_ignores_uncond(1 + 1e-10));
  EXPECT_FALSE(cfg_ignores_uncond(1.0001));
  EXPECT_FALSE(cfg_ignores_uncond(0));
}

TEST(LatentMask, IsComfyUisBilinearResizeOverAllRowsAndChannels) {
  const at::Tensor& mask = fixture()["mask/in"];
  EXPECT_LE(relative_error(latent_mask(mask, {3, 4, 5, 4}), fixture()["mask/small"]), kRounding);
  EXPECT_LE(relative_error(latent_mask(mask, {1, 4, 20, 12}), fixture()["mask/large"]), kRounding);
  EXPECT_LE(
      relative_error(latent_mask(fixture()["mask/two_in"], {3, 2, 4, 4}), fixture()["mask/two"]),
      kRounding);
}

TEST(LatentMask, TakesAPlainPlaneAndCutsSurplusEntries) {
  const at::Tensor plane = fixture()["mask/in"][0];
  EXPECT_TRUE(
      at::equal(latent_mask(plane, {1, 4, 5, 4}), latent_mask(plane.unsqueeze(0), {1, 4, 5, 4})));
  EXPECT_EQ(latent_mask(at::rand({5, 8, 8}), {2, 4, 4, 4}).sizes(),
            (std::vector<std::int64_t>{2, 4, 4, 4}));
}

TEST(Inpaint, TheMaskedPartIsTheSamplersOwnAndTheRestIsKnown) {
  const auto model = make_eps_sampling();
  const at::Tensor mask = at::tensor({1.0F, 0.0F}).view({1, 1, 1, 2});
  const at::Tensor x = at::full({1, 1, 1, 2}, 5.0F);
  const at::Tensor latent = at::full({1, 1, 1, 2}, 2.0F);
  const at::Tensor noise = at::full({1, 1, 1, 2}, 0.5F);
  const at::Tensor input = inpaint_input(x, mask, 4.0, noise, latent, *model);
  EXPECT_TRUE(at::equal(input, at::tensor({5.0F, 4.0F}).view({1, 1, 1, 2})));
  EXPECT_TRUE(
      at::equal(inpaint_output(x, mask, latent), at::tensor({5.0F, 2.0F}).view({1, 1, 1, 2})));
}

TEST(Inpaint, AHalfMaskBlends) {
  const at::Tensor half = at::full({1, 1, 1, 1}, 0.5F);
  const at::Tensor blended =
      inpaint_output(at::full({1, 1, 1, 1}, 4.0F), half, at::full({1, 1, 1, 1}, 2.0F));
  EXPECT_EQ(blended.item<float>(), 3.0F);
}

}  // namespace
}  // namespace luna::worker
