#include "common/image/png.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "common/image/whole_file.h"
#include "tests/support/temp_dir.h"

namespace luna {
namespace {

Image sample_picture(int channels) {
  Image image(7, 5, channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * 31 % 251);
  }
  return image;
}

std::string be32(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

std::string chunk(const std::string& type, const std::string& data) {
  const std::string checked = type + data;
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
  return be32(static_cast<std::uint32_t>(data.size())) + checked +
         be32(static_cast<std::uint32_t>(sum));
}

std::string deflated(const std::string& text) {
  uLongf size = compressBound(text.size());
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(text.data()), text.size());
  packed.resize(size);
  return packed;
}

/// A PNG of `header` and `rows` (with their filter bytes), with `extra` chunks before the pixels.
std::string png_of(std::uint32_t width, std::uint32_t height, char depth, char color,
                   const std::string& extra, const std::string& rows) {
  const std::string header = be32(width) + be32(height) + depth + color + std::string(3, '\0');
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + extra + chunk("IDAT", deflated(rows)) +
         chunk("IEND", "");
}

TEST(Png, PicturesOfEveryChannelCountComeBackExactly) {
  for (const int channels : {1, 3, 4}) {
    const auto bytes = encode_png(sample_picture(channels));
    ASSERT_TRUE(bytes.ok()) << bytes.status().to_string();
    const auto file = decode_png(*bytes, "x.png");
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_EQ(file->image, sample_picture(channels));
  }
}

TEST(Png, TextsComeBackInOrderAsUtf8) {
  const std::vector<PngText> texts = {{"parameters", "a cat\nSteps: 20"},
                                      {"prompt", "{\"a\": 1}"},
                                      {"luna", "Kätzchen, 猫 \xF0\x9F\x98\xBA"}};
  const auto bytes = encode_png(sample_picture(3), texts);
  ASSERT_TRUE(bytes.ok());
  const auto file = decode_png(*bytes, "x.png");
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->texts, texts);
}

TEST(Png, CompressedAndInternationalTextsAreRead) {
  const std::string extra =
      chunk("zTXt", std::string("a\0\0", 3) + deflated("packed")) +
      chunk("iTXt", std::string("b\0\1\0en\0key\0", 11) + deflated("größer")) +
      chunk("tEXt", std::string("c\0", 2) +
                        "gr\xF6\xDF"
                        "er");
  const auto texts = decode_png_texts(png_of(1, 1, 8, 0, extra, std::string(2, '\0')), "x.png");
  ASSERT_TRUE(texts.ok()) << texts.status().to_string();
  EXPECT_EQ(*texts, (std::vector<PngText>{{"a", "packed"}, {"b", "größer"}, {"c", "größer"}}));
}

TEST(Png, PaletteSixteenBitAndLowDepthBecomeEightBit) {
  const auto sixteen = decode_png(png_of(1, 1, 16, 0, "", std::string("\0\x12\x34", 3)), "x.png");
  ASSERT_TRUE(sixteen.ok()) << sixteen.status().to_string();
  EXPECT_EQ(sixteen->image.pixels, (std::vector<std::uint8_t>{0x12}));
  const auto one_bit = decode_png(png_of(2, 1, 1, 0, "", std::string("\0\x40", 2)), "x.png");
  ASSERT_TRUE(one_bit.ok());
  EXPECT_EQ(one_bit->image.pixels, (std::vector<std::uint8_t>{0, 255}));
  const auto palette = decode_png(
      png_of(2, 1, 8, 3, chunk("PLTE", std::string("\1\2\3\4\5\6", 6)), std::string("\0\1\0", 3)),
      "x.png");
  ASSERT_TRUE(palette.ok());
  EXPECT_EQ(palette->image.pixels, (std::vector<std::uint8_t>{4, 5, 6, 1, 2, 3}));
}

TEST(HostilePng, WhatIsNoPngNamesTheFile) {
  for (const std::string bytes : {"", "GIF89a", "\x89PNG\r\n\x1a\n"}) {
    const auto file = decode_png(bytes, "folder/x.png");
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(file.status().message().find("folder/x.png"), std::string::npos);
  }
}

TEST(HostilePng, EveryTruncationIsAnErrorAndNoCrash) {
  const std::string whole = *encode_png(sample_picture(3), {{"k", "text"}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_png(whole.substr(0, size), "x.png").ok()) << size;
  }
}

TEST(HostilePng, EveryFlippedByteIsReadOrRefusedAndNoCrash) {
  const std::string whole = *encode_png(sample_picture(3), {{"k", "text"}});
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    const auto file = decode_png(damaged, "x.png");
    if (file.ok()) {
      EXPECT_TRUE(file->image.validate().ok());
    }
  }
}

TEST(HostilePng, AbsurdSizesAreRefusedBeforeMemoryIsTaken) {
  const auto wide = decode_png(png_of(100000, 1, 8, 0, "", "\0\0"), "x.png");
  ASSERT_FALSE(wide.ok());
  EXPECT_NE(wide.status().message().find("16384"), std::string::npos);
  const auto empty = decode_png(png_of(16384, 16384, 8, 6, "", "\0\0"), "x.png");
  ASSERT_FALSE(empty.ok());
  EXPECT_NE(empty.status().message().find("do not fit"), std::string::npos);
}

TEST(HostilePng, ATextBombIsRefused) {
  const std::string bomb =
      chunk("zTXt", std::string("a\0\0", 3) + deflated(std::string(9 << 20, 'x')));
  const auto texts = decode_png_texts(png_of(1, 1, 8, 0, bomb, std::string(2, '\0')), "x.png");
  ASSERT_FALSE(texts.ok());
  EXPECT_NE(texts.status().message().find("longer than"), std::string::npos);
}

TEST(HostilePng, TooManyTextChunksAreRefused) {
  std::string many;
  for (int i = 0; i < 65; ++i) many += chunk("tEXt", std::string("a\0b", 3));
  EXPECT_FALSE(decode_png_texts(png_of(1, 1, 8, 0, many, std::string(2, '\0')), "x.png").ok());
}

TEST(Png, BadKeywordsAndTextsAreRefusedWhenWriting) {
  const Image image = sample_picture(3);
  EXPECT_FALSE(encode_png(image, {{"", "x"}}).ok());
  EXPECT_FALSE(encode_png(image, {{std::string(80, 'k'), "x"}}).ok());
  EXPECT_FALSE(encode_png(image, {{"k", "not \xFF utf-8"}}).ok());
  EXPECT_FALSE(encode_png(image, {{"k", std::string("a\0b", 3)}}).ok());
  EXPECT_FALSE(encode_png(image, {{"k", std::string(9 << 20, 'x')}}).ok());
  EXPECT_FALSE(encode_png(Image()).ok());
}

TEST(WholeFile, ReplacesOrRefusesAnExistingFile) {
  const support::TempDir dir;
  const std::string path = dir.write("a.bin", "old");
  const Status refused = write_whole_file(path, "new", Existing::kRefuse);
  EXPECT_EQ(refused.code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(support::read_file(path), "old");
  EXPECT_TRUE(write_whole_file(path, "new", Existing::kReplace).ok());
  EXPECT_EQ(support::read_file(path), "new");
  EXPECT_TRUE(write_whole_file(dir.file("b.bin"), "b", Existing::kRefuse).ok());
  EXPECT_EQ(support::read_file(dir.file("b.bin")), "b");
}

TEST(WholeFile, LeavesNothingBehindWhenItFails) {
  const support::TempDir dir;
  const Status status = write_whole_file(dir.file("none/a.bin"), "x", Existing::kReplace);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find("none/a.bin"), std::string::npos);
  EXPECT_EQ(write_whole_file(dir.path(), "x", Existing::kReplace).code(),
            StatusCode::kInvalidArgument);
}

TEST(WholeFile, ReadsOnlyRegularFilesWithinTheLimit) {
  const support::TempDir dir;
  const std::string path = dir.write("a.bin", "12345");
  EXPECT_EQ(*read_whole_file(path, 5), "12345");
  EXPECT_EQ(read_whole_file(path, 4).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(read_whole_file(dir.path(), 100).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(read_whole_file(dir.file("none"), 100).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(read_png(dir.file("none.png")).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace luna
