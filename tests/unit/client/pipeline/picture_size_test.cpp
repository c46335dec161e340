#include "client/pipeline/picture_size.h"

#include <gtest/gtest.h>

#include "client/pipeline/step_clock.h"

namespace luna::client {
namespace {

GenerateRequest sized(std::optional<int> width, std::optional<int> height) {
  GenerateRequest request;
  request.width = width;
  request.height = height;
  return request;
}

TEST(PictureSize, IsTheFamilysOwnWhenNothingIsSaid) {
  EXPECT_EQ(*picture_size(sized({}, {}), latent_geometry({})), (PictureSize{512, 512}));
  ComponentInfo unet;
  unet.family = "sdxl";
  EXPECT_EQ(*picture_size(sized({}, {}), latent_geometry({unet})), (PictureSize{1024, 1024}));
}

TEST(PictureSize, IsWhatTheModelsFileSaysBeforeTheFamilys) {
  ComponentInfo unet;
  unet.family = "sdxl";
  unet.native_width = 128;
  unet.native_height = 195;
  EXPECT_EQ(*picture_size(sized({}, {}), latent_geometry({unet})), (PictureSize{128, 192}));
}

TEST(PictureSize, OneEdgeAloneGivesASquare) {
  EXPECT_EQ(*picture_size(sized(256, {}), {}), (PictureSize{256, 256}));
  EXPECT_EQ(*picture_size(sized({}, 640), {}), (PictureSize{640, 640}));
}

TEST(PictureSize, ABadSizeNamesTheNearestThatIsValid) {
  const auto wrong = picture_size(sized(509, 512), {});
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.status().message(),
            "width 509 must be a multiple of 8 and at least 8; the nearest is 512");
  EXPECT_NE(picture_size(sized(512, 3), {}).status().message().find("nearest is 8"),
            std::string::npos);
  EXPECT_FALSE(picture_size(sized(-8, 512), {}).ok());
  EXPECT_FALSE(picture_size(sized(1 << 30, 512), {}).ok());
}

TEST(PictureSize, FollowsTheStartingPicture) {
  GenerateRequest request = sized({}, {});
  request.image = Image(101, 57, 3);
  EXPECT_EQ(*picture_size(request, {}), (PictureSize{96, 56}));
  request.width = 200;
  EXPECT_EQ(*picture_size(request, {}), (PictureSize{200, 112}));
  request.image = Image(7, 100, 3);
  request.width.reset();
  EXPECT_FALSE(picture_size(request, {}).ok());
}

TEST(StepClock, LeavesTheFirstStepOutOfThePace) {
  const StepClock::Time start{};
  StepClock clock(start);
  EXPECT_EQ(clock.seconds_per_step(), 0);
  clock.step_finished(1, start + std::chrono::seconds(10));
  EXPECT_DOUBLE_EQ(clock.seconds_per_step(), 10);
  clock.step_finished(2, start + std::chrono::seconds(11));
  clock.step_finished(4, start + std::chrono::seconds(13));
  EXPECT_DOUBLE_EQ(clock.seconds_per_step(), 1);
  EXPECT_DOUBLE_EQ(clock.seconds_left(10), 6);
  clock.step_finished(3, start + std::chrono::seconds(99));
  EXPECT_DOUBLE_EQ(clock.seconds_per_step(), 1);
  EXPECT_EQ(clock.seconds_left(4), 0);
}

}  // namespace
}  // namespace luna::client
