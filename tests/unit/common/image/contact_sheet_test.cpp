#include "common/image/contact_sheet.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna {
namespace {

using testing::HasSubstr;

Image plain(int width, int height, std::uint8_t value, int channels = 3) {
  Image image(width, height, channels);
  std::ranges::fill(image.pixels, value);
  return image;
}

int value_at(const Image& image, int x, int y) {
  return image.row(y)[3 * static_cast<std::size_t>(x)];
}

TEST(ContactSheet, HoldsPicturesRowByRowWithAMarginAroundEach) {
  const std::vector<Image> pictures = {plain(4, 4, 10), plain(4, 4, 20), plain(4, 4, 30)};
  const auto sheet = contact_sheet(pictures, {.columns = 2, .cell = 0, .margin = 2});
  ASSERT_TRUE(sheet.ok()) << sheet.status().to_string();
  EXPECT_EQ(sheet->width, 2 + 2 * 6);
  EXPECT_EQ(sheet->height, 2 + 2 * 6);
  EXPECT_EQ(value_at(*sheet, 1, 1), 255);
  EXPECT_EQ(value_at(*sheet, 2, 2), 10);
  EXPECT_EQ(value_at(*sheet, 8, 2), 20);
  EXPECT_EQ(value_at(*sheet, 2, 8), 30);
  EXPECT_EQ(value_at(*sheet, 8, 8), 255) << "no fourth picture";
}

TEST(ContactSheet, SmallPicturesStandInTheMiddleAndLargeOnesAreReduced) {
  const std::vector<Image> pictures = {plain(2, 2, 10), plain(16, 8, 20, 4), plain(6, 6, 30, 1)};
  const auto sheet = contact_sheet(pictures, {.columns = 3, .cell = 6, .margin = 0});
  ASSERT_TRUE(sheet.ok()) << sheet.status().to_string();
  EXPECT_EQ(sheet->width, 18);
  EXPECT_EQ(value_at(*sheet, 1, 1), 255);
  EXPECT_EQ(value_at(*sheet, 2, 2), 10);
  EXPECT_EQ(value_at(*sheet, 6, 3), 20);
  EXPECT_EQ(value_at(*sheet, 6, 0), 255) << "proportions are kept";
  EXPECT_EQ(value_at(*sheet, 12, 0), 30) << "grey becomes RGB";
}

TEST(ContactSheet, WithoutANumberOfColumnsItIsAboutSquare) {
  const std::vector<Image> pictures(10, plain(4, 4, 0));
  const auto sheet = contact_sheet(pictures, {.columns = 0, .cell = 4, .margin = 0});
  ASSERT_TRUE(sheet.ok());
  EXPECT_EQ(sheet->width, 16);
  EXPECT_EQ(sheet->height, 12);
}

TEST(ContactSheet, WhatMakesNoSheetIsRefused) {
  EXPECT_THAT(contact_sheet({}, {}).status().message(), HasSubstr("at least one picture"));
  const std::vector<Image> pictures(2, plain(4, 4, 0));
  EXPECT_THAT(contact_sheet(pictures, {.columns = -1}).status().message(), HasSubstr("-1"));
  EXPECT_THAT(contact_sheet(pictures, {.columns = 2, .cell = 20000}).status().message(),
              HasSubstr("smaller cell"));
}

}  // namespace
}  // namespace luna
