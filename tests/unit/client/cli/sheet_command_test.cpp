#include <filesystem>

#include "common/image/png.h"
#include "tests/unit/client/cli/command_fixture.h"

namespace luna::client {
namespace {

class Sheet : public CommandFixture {
 protected:
  std::string picture(const std::string& name, int width, int height) {
    return dir_.write(name, *encode_png(Image(width, height, 3)));
  }
};

TEST_F(Sheet, HoldsThePicturesInTheOrderOfTheCommandLine) {
  const std::string first = picture("a.png", 16, 16), second = picture("b.png", 16, 16);
  ASSERT_EQ(luna({"sheet", "--columns", "2", "--margin", "4", "--output", dir_.file("s.png"), first,
                  second}),
            0);
  EXPECT_EQ(out_.str(), dir_.file("s.png") + "\n");
  const auto sheet = read_png(dir_.file("s.png"));
  ASSERT_TRUE(sheet.ok());
  EXPECT_EQ(sheet->image.width, 44);
  EXPECT_EQ(sheet->image.height, 24);
  ASSERT_EQ(sheet->texts.size(), 1u);
  EXPECT_EQ(sheet->texts[0].text, first + "\n" + second);
}

TEST_F(Sheet, NamesThePromptsOfPicturesThatLunaMade) {
  const std::string made = dir_.file("made.png");
  ASSERT_EQ(luna({"generate", "--checkpoint", "sd15.safetensors", "--prompt", "a red fox",
                  "--width", "32", "--height", "16", "--steps", "3", "--output", made}),
            0)
      << err_.str();
  ASSERT_EQ(luna({"sheet", "--json", "--output", dir_.file("s.png"), made}), 0);
  EXPECT_EQ(json_out()["pictures"][0]["prompt"], "a red fox");
}

TEST_F(Sheet, WhatIsNoPictureIsRefusedAndNothingIsWritten) {
  const std::string text = dir_.write("text.png", "no picture");
  EXPECT_EQ(luna({"sheet", "--output", dir_.file("s.png"), text}), 2);
  EXPECT_FALSE(std::filesystem::exists(dir_.file("s.png")));
  EXPECT_EQ(luna({"sheet", "--output", dir_.file("s.jpg"), text}), 2);
  EXPECT_EQ(luna({"sheet", "--output", dir_.file("s.png")}), 2);
}

}  // namespace
}  // namespace luna::client
