// The model below models/, as `luna generate` uses it: it draws what it is asked for.
#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/image/png.h"
#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/support/temp_dir.h"

namespace luna::support {
namespace {

class ShippedModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempDir>();
    std::filesystem::create_directory_symlink(LUNA_SOURCE_DIR "/models",
                                              std::filesystem::path(folder_->path()) / "models");
    daemon_ = DaemonProcess::start(folder_->path());
  }
  static void TearDownTestSuite() {
    daemon_.reset();
    folder_.reset();
  }

  /// Without a size: that of the model, which its file says.
  static Image drawn(const std::string& prompt, const std::vector<std::string>& further = {}) {
    const std::string output = folder_->file("picture.png");
    std::vector<std::string> arguments = {
        "generate", "--address", daemon_->address(), "--prompt",    prompt,
        "--seed",   "3",         "--steps",          "20",          "--cfg",
        "4",        "--sampler", "dpmpp_2m",         "--scheduler", "karras",
        "--output", output};
    arguments.insert(arguments.end(), further.begin(), further.end());
    const Ended ended = run_program("luna", arguments);
    EXPECT_EQ(ended.status, 0) << ended.err;
    auto read = read_png(output);
    EXPECT_TRUE(read.ok()) << read.status().to_string();
    return read.ok() ? std::move(read->image) : Image();
  }
  /// The share of pixels in which one channel is far above both others.
  static double share_of(const Image& image, int channel) {
    int found = 0;
    const int count = image.width * image.height;
    for (int i = 0; i < count; ++i) {
      const std::uint8_t* pixel = &image.pixels[static_cast<std::size_t>(i) * 3];
      const int own = pixel[channel];
      const int others = std::max(pixel[(channel + 1) % 3], pixel[(channel + 2) % 3]);
      found += own > others + 60;
    }
    return static_cast<double>(found) / count;
  }

  static std::unique_ptr<TempDir> folder_;
  static std::unique_ptr<DaemonProcess> daemon_;
};
std::unique_ptr<TempDir> ShippedModel::folder_;
std::unique_ptr<DaemonProcess> ShippedModel::daemon_;

TEST_F(ShippedModel, DrawsTheColourThatThePromptNames) {
  const Image red = drawn("a big red ball on plain grey");
  EXPECT_EQ(red.width, 128);
  EXPECT_EQ(red.height, 128);
  EXPECT_GT(share_of(red, 0), 0.08);
  EXPECT_LT(share_of(red, 2), 0.01);
  const Image blue = drawn("a big blue ball on plain grey");
  EXPECT_GT(share_of(blue, 2), 0.08);
  EXPECT_LT(share_of(blue, 0), 0.01);
}

TEST_F(ShippedModel, ItsPencilLoraTakesTheColoursAwayByDegrees) {
  const auto red_at = [](const char* strength) {
    return share_of(drawn("a big red ball on plain grey",
                          {"--lora", std::string("luna-pencil.safetensors:") + strength}),
                    0);
  };
  const double none = red_at("0"), all = red_at("1");
  EXPECT_GT(none, 0.08);
  EXPECT_LT(all, 0.01);
}

}  // namespace
}  // namespace luna::support
