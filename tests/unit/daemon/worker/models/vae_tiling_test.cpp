#include "daemon/worker/models/vae_tiling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

std::shared_ptr<const Vae> small_vae() {
  auto options = size_a();
  options.with_unet = options.with_text = false;
  return TinyModel(options).vae();
}

TEST(VaeTiling, TiledDecodeAgreesWithComfyUi) {
  const ParityFixture recorded("vae");
  const auto vae = small_vae();
  const at::Tensor latent = made_up("tiled.latent", {2, 4, 20, 27}, 1.5f);
  const auto all = decode_tiled(*vae, latent, {.size = 128, .overlap = 32});
  ASSERT_TRUE(all.ok()) << all.status().to_string();
  EXPECT_LE(recorded.error_of("tiled.decode", *all), 1e-4);
  const auto part =
      decode_tiled(*vae, latent.narrow(0, 0, 1).narrow(2, 0, 12), {.size = 128, .overlap = 16});
  ASSERT_TRUE(part.ok());
  EXPECT_LE(recorded.error_of("tiled.decode_part", *part), 1e-4);
}

TEST(VaeTiling, TiledEncodeAgreesWithComfyUi) {
  const auto latent = encode_tiled(*small_vae(), made_up("tiled.pixels", {1, 3, 160, 216}),
                                   {.size = 128, .overlap = 32});
  ASSERT_TRUE(latent.ok()) << latent.status().to_string();
  EXPECT_LE(ParityFixture("vae").error_of("tiled.encode", *latent), 1e-4);
}

TEST(VaeTiling, ThreePassesOfDifferentProportionsCoverEveryPicture) {
  const std::array<std::int64_t, 4> shape = {2, 4, 20, 27};
  const auto plan = TilePlan::for_decode(shape, {.size = 128, .overlap = 32}, 8);
  ASSERT_TRUE(plan.ok());
  std::array<at::Tensor, 3> covered;
  for (at::Tensor& pass : covered) pass = at::zeros({2, 1, 20, 27});
  for (const Tile& tile : plan->tiles()) {
    EXPECT_LE(tile.height * tile.width, 16 * 16);
    TilePlan::cut(covered[static_cast<std::size_t>(tile.pass)], tile).fill_(1);
    EXPECT_EQ(tile.out_y, 8 * tile.y);
    EXPECT_EQ(tile.out_x, 8 * tile.x);
  }
  for (const at::Tensor& pass : covered) EXPECT_EQ(pass.sum().item<float>(), 2 * 20 * 27);
}

TEST(VaeTiling, BlendingEqualPiecesGivesThePictureBack) {
  const at::Tensor picture = made_up("blend", {1, 3, 40, 56});
  const std::array<std::int64_t, 4> shape = {1, 4, 40, 56};
  const auto plan = TilePlan::for_decode(shape, {.size = 16, .overlap = 4}, 1);
  ASSERT_TRUE(plan.ok());
  TileBlend blend(*plan, 3, at::kCPU);
  for (const Tile& tile : plan->tiles()) blend.add(TilePlan::cut(picture, tile));
  EXPECT_LE(relative(blend.finish(), picture), 1e-6);
}

TEST(VaeTiling, APictureSmallerThanATileIsTakenWhole) {
  const std::array<std::int64_t, 4> shape = {1, 4, 8, 8};
  const auto plan = TilePlan::for_decode(shape, {.size = 512, .overlap = 64}, 8);
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->tiles().size(), 3u);
  for (const Tile& tile : plan->tiles()) EXPECT_TRUE(tile.whole);
  const auto vae = small_vae();
  const at::Tensor latent = made_up("whole", {1, 4, 8, 8});
  EXPECT_LE(
      relative(*decode_tiled(*vae, latent, {.size = 512, .overlap = 64}), vae->decode(latent)),
      1e-6);
}

TEST(VaeTiling, AnOverlapOfMoreThanAQuarterIsTakenAsAQuarterWhenDecoding) {
  const std::array<std::int64_t, 4> shape = {1, 4, 40, 40};
  const auto wide = TilePlan::for_decode(shape, {.size = 128, .overlap = 64}, 8);
  const auto quarter = TilePlan::for_decode(shape, {.size = 128, .overlap = 32}, 8);
  ASSERT_TRUE(wide.ok() && quarter.ok());
  EXPECT_EQ(wide->tiles().size(), quarter->tiles().size());
}

TEST(VaeTiling, SizesThatCannotBeTiledAreRefused) {
  const std::array<std::int64_t, 4> latent = {1, 4, 40, 40}, pixels = {1, 3, 320, 320};
  const auto message = [](const Result<TilePlan>& plan) {
    EXPECT_EQ(plan.status().code(), StatusCode::kInvalidArgument);
    return plan.status().message();
  };
  EXPECT_THAT(message(TilePlan::for_decode(latent, {.size = 8, .overlap = 0}, 8)),
              testing::HasSubstr("8 pixels"));
  EXPECT_THAT(message(TilePlan::for_decode(latent, {.size = 128, .overlap = -8}, 8)),
              testing::HasSubstr("overlap of -8"));
  EXPECT_THAT(message(TilePlan::for_encode(pixels, {.size = 128, .overlap = 64}, 8)),
              testing::HasSubstr("larger than the overlap"));
  EXPECT_THAT(message(TilePlan::for_encode(pixels, {.size = 120, .overlap = 16}, 8)),
              testing::HasSubstr("multiples of 8"));
  EXPECT_THAT(message(TilePlan::for_decode({4, 40}, {.size = 128, .overlap = 16}, 8)),
              testing::HasSubstr("four axes"));
}

}  // namespace
}  // namespace luna::worker
