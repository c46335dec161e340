#include "common/image/image.h"

#include <gtest/gtest.h>

#include "common/image/resize.h"

namespace luna {
namespace {

Image gradient(int width, int height, int channels) {
  Image image(width, height, channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * 7 % 256);
  }
  return image;
}

Image flat(int width, int height, std::uint8_t value) {
  Image image(width, height, 3);
  std::ranges::fill(image.pixels, value);
  return image;
}

TEST(Image, RgbOfGreyRepeatsTheSample) {
  Image grey(2, 1, 1);
  grey.pixels = {10, 200};
  EXPECT_EQ(to_rgb(grey).pixels, (std::vector<std::uint8_t>{10, 10, 10, 200, 200, 200}));
}

TEST(Image, RgbOfRgbaDropsAlpha) {
  Image image(1, 1, 4);
  image.pixels = {1, 2, 3, 0};
  EXPECT_EQ(to_rgb(image).pixels, (std::vector<std::uint8_t>{1, 2, 3}));
}

TEST(Image, OneChannelOfAPictureIsGrey) {
  Image image(2, 1, 3);
  image.pixels = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(channel_of(image, 1).pixels, (std::vector<std::uint8_t>{2, 5}));
}

TEST(Image, CropTakesTheRectangle) {
  const Image image = gradient(5, 4, 3);
  const Image part = crop(image, 1, 2, 3, 2);
  ASSERT_EQ(part.width, 3);
  ASSERT_EQ(part.height, 2);
  EXPECT_EQ(part.row(0)[0], image.row(2)[3]);
  EXPECT_EQ(part.row(1)[8], image.row(3)[11]);
}

TEST(Image, ValidateNamesWhatDoesNotFit) {
  Image image = gradient(4, 4, 3);
  EXPECT_TRUE(image.validate().ok());
  image.pixels.pop_back();
  EXPECT_NE(image.validate().message().find("needs 48 bytes, it has 47"), std::string::npos);
  image.channels = 2;
  EXPECT_EQ(image.validate().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(Image().validate().ok());
}

TEST(Resize, KeepsAFlatPictureFlat) {
  for (const ResizeFilter filter : {ResizeFilter::kArea, ResizeFilter::kLanczos}) {
    const Image small = resize(flat(13, 9, 77), 5, 4, filter);
    const Image large = resize(flat(3, 5, 77), 16, 11, filter);
    for (const std::uint8_t value : small.pixels) EXPECT_EQ(value, 77);
    for (const std::uint8_t value : large.pixels) EXPECT_EQ(value, 77);
  }
}

TEST(Resize, AreaGivesTheMeanOfWhatAPixelCovers) {
  Image image(4, 2, 1);
  image.pixels = {0, 100, 200, 40, 20, 40, 0, 0};
  const Image half = resize(image, 2, 1, ResizeFilter::kArea);
  EXPECT_EQ(half.pixels, (std::vector<std::uint8_t>{40, 60}));
}

TEST(Resize, LanczosOvershootsAreClamped) {
  Image image(8, 1, 1);
  image.pixels = {0, 0, 0, 0, 255, 255, 255, 255};
  const Image large = resize(image, 32, 1, ResizeFilter::kLanczos);
  EXPECT_EQ(large.pixels.front(), 0);
  EXPECT_EQ(large.pixels.back(), 255);
}

TEST(Resize, TheSameSizeIsTheSamePicture) {
  const Image image = gradient(6, 5, 4);
  EXPECT_EQ(resize(image, 6, 5, ResizeFilter::kLanczos), image);
}

TEST(Resize, FillingCutsTheMiddleAndDoesNotDistort) {
  Image image(4, 2, 1);
  image.pixels = {9, 1, 2, 9, 9, 3, 4, 9};
  const Image square = resize_to_fill(image, 2, 2, ResizeFilter::kLanczos);
  EXPECT_EQ(square.pixels, (std::vector<std::uint8_t>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace luna
