// The luna command as a person or a script uses it, against a real daemon.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <signal.h>

#include "common/image/png.h"
#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"
#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"

namespace luna::support {
namespace {

using ::testing::HasSubstr;

class CommandLine : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<ModelFolder>();
    folder_->add_checkpoint("tiny.safetensors", 1);
    daemon_ = DaemonProcess::start(folder_->path());
  }
  static void TearDownTestSuite() {
    daemon_.reset();
    folder_.reset();
  }

  Ended luna(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--address", daemon_->address()});
    return run_program("luna", arguments);
  }
  Ended generate(std::vector<std::string> further) {
    std::vector<std::string> arguments = {"generate", "--prompt", "a red boat", "--width",
                                          "128",      "--height", "96",         "--steps",
                                          "3",        "--seed",   "7"};
    arguments.insert(arguments.end(), further.begin(), further.end());
    return luna(std::move(arguments));
  }
  std::string file(const std::string& name) const { return (folder_->path() / name).string(); }
  static Image picture(const std::string& path) {
    auto read = read_png(path);
    EXPECT_TRUE(read.ok()) << read.status().to_string();
    return read.ok() ? std::move(read->image) : Image();
  }

  static int largest_difference(const Image& a, const Image& b) {
    EXPECT_EQ(a.pixels.size(), b.pixels.size());
    int largest = 0;
    for (std::size_t i = 0; i < std::min(a.pixels.size(), b.pixels.size()); ++i)
      largest = std::max(largest, std::abs(int{a.pixels[i]} - int{b.pixels[i]}));
    return largest;
  }

  /// The f32 values behind the header of a latents file of one tensor.
  static std::vector<float> latent_values(const std::string& path) {
    const std::string bytes = read_file(path);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof(header));
    const std::string data = bytes.substr(sizeof(header) + header);
    std::vector<float> values(data.size() / sizeof(float));
    std::memcpy(values.data(), data.data(), data.size());
    return values;
  }

  static std::unique_ptr<ModelFolder> folder_;
  static std::unique_ptr<DaemonProcess> daemon_;
};
std::unique_ptr<ModelFolder> CommandLine::folder_;
std::unique_ptr<DaemonProcess> CommandLine::daemon_;

TEST_F(CommandLine, APictureIsMadeAgainFromItsOwnMetadata) {
  const Ended first = generate({"--output", file("first.png")});
  ASSERT_EQ(first.status, 0) << first.err;
  const Ended again =
      luna({"generate", "--from", file("first.png"), "--output", file("again.png")});
  ASSERT_EQ(again.status, 0) << again.err;
  const Image a = picture(file("first.png")), b = picture(file("again.png"));
  EXPECT_EQ(a.width, 128);
  EXPECT_EQ(a.height, 96);
  EXPECT_EQ(a.pixels, b.pixels);

  const Ended other =
      luna({"generate", "--from", file("first.png"), "--seed", "8", "--output", file("other.png")});
  ASSERT_EQ(other.status, 0) << other.err;
  EXPECT_NE(picture(file("other.png")).pixels, a.pixels) << "flags override what the picture says";
}

TEST_F(CommandLine, SeveralPicturesGetNumbersAndLatentsKeepTheirScale) {
  const Ended ended = generate(
      {"--batch", "2", "--output", file("pair.png"), "--save-latents", file("pair.safetensors")});
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(picture(file("pair_0.png")).pixels, picture(file("pair_1.png")).pixels);
  const std::string latents = read_file(file("pair.safetensors"));
  EXPECT_THAT(latents.substr(0, 400), HasSubstr("\"latent_tensor\""));
  EXPECT_THAT(latents.substr(0, 400), HasSubstr("[2,4,12,16]"));
  EXPECT_GT(latents.size(), 2u * 4 * 12 * 16 * sizeof(float));
}

TEST_F(CommandLine, JsonOnStdoutIsOneObjectAndNothingElse) {
  const Ended ended = generate({"--output", file("json.png"), "--json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto report = nlohmann::json::parse(ended.out, nullptr, false);
  ASSERT_FALSE(report.is_discarded()) << ended.out;
  EXPECT_EQ(report["seed"], 7);
  EXPECT_EQ(report["pictures"][0]["file"], file("json.png"));
  const auto status = nlohmann::json::parse(luna({"status", "--json"}).out, nullptr, false);
  ASSERT_FALSE(status.is_discarded());
  EXPECT_THAT(status.dump(), HasSubstr("unet"));
}

TEST_F(CommandLine, AStartingPictureIsKeptOutsideTheMask) {
  ASSERT_EQ(generate({"--output", file("start.png")}).status, 0);
  Image mask(128, 96, 1);
  for (int y = 0; y < 96; ++y) {
    for (int x = 64; x < 128; ++x) mask.pixels[y * 128 + x] = 255;
  }
  std::ofstream(file("mask.png"), std::ios::binary) << encode_png(mask).value();
  std::vector<std::vector<float>> latents;
  for (const char* seed : {"9", "10"}) {
    const Ended ended =
        luna({"generate", "--prompt", "a storm", "--image", file("start.png"), "--mask",
              file("mask.png"), "--denoise", "0.8", "--steps", "5", "--seed", seed,
              "--save-latents", file("masked.safetensors"), "--output", file("masked.png")});
    ASSERT_EQ(ended.status, 0) << ended.err;
    latents.push_back(latent_values(file("masked.safetensors")));
    ASSERT_EQ(latents.back().size(), 4u * 12 * 16);
  }
  // Cells of the left half belong to the starting picture, whatever the seed; those of the right
  // half do not.
  for (int row = 0; row < 4 * 12; ++row) {
    for (int x = 0; x < 16; ++x) {
      const float first = latents[0][row * 16 + x], second = latents[1][row * 16 + x];
      if (x < 7) {
        EXPECT_NEAR(first, second, 1e-5) << "cell " << x;
      } else if (x > 8) {
        EXPECT_NE(first, second) << "cell " << x;
      }
    }
  }
}

TEST_F(CommandLine, MistakesAreOneSentenceAndAnExitCode) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
      {{"--sampler", "eulre"}, "euler"},
      {{"--scheduler", "karas"}, "karras"},
      {{"--checkpoint", "tony.safetensors"}, "tiny.safetensors"},
      {{"--width", "100"}, "104"},
      {{"--image", file("absent.png")}, "absent.png"},
  };
  for (const auto& [flags, expected] : mistakes) {
    const Ended ended = generate(flags);
    EXPECT_NE(ended.status, 0) << flags[0];
    EXPECT_THAT(ended.err, HasSubstr(expected)) << flags[0];
    EXPECT_LT(ended.status, 128) << flags[0] << " crashed";
  }
  const Ended nobody = run_program("luna", {"status", "--address", "unix:" + file("nobody.sock")});
  EXPECT_NE(nobody.status, 0);
  EXPECT_THAT(nobody.err, HasSubstr("nobody.sock"));
}

TEST_F(CommandLine, InterruptingCancelsOnTheServer) {
  const pid_t child = start_program(
      "luna", {"generate", "--prompt", "a", "--steps", "9000", "--width", "128", "--height", "128",
               "--output", file("never.png"), "--address", daemon_->address()});
  ASSERT_GT(child, 0);
  ASSERT_TRUE(wait_until(
      [&] {
        for (const WorkerInfo& worker : daemon_->status().workers) {
          if (worker.report.jobs_running > 0) return true;
        }
        return false;
      },
      std::chrono::seconds(30)));
  kill(child, SIGINT);
  EXPECT_EQ(exit_code_of(child), 130);
  EXPECT_TRUE(wait_until([&] { return daemon_->status().jobs.running == 0; }));
  EXPECT_FALSE(std::filesystem::exists(file("never.png")));
}

TEST_F(CommandLine, AnSdxlCheckpointDrawsPicturesToo) {
  folder_->write("checkpoints", "xl.safetensors", TinySd15Options::sdxl());
  const auto drawn = [&](const std::string& prompt) {
    const Ended made =
        luna({"generate", "--checkpoint", "xl.safetensors", "--prompt", prompt, "--width", "128",
              "--height", "96", "--steps", "2", "--seed", "7", "--output", file("sdxl.png")});
    EXPECT_EQ(made.status, 0) << made.err;
    return picture(file("sdxl.png"));
  };
  const Image boat = drawn("a red boat");
  EXPECT_EQ(boat.width, 128);
  EXPECT_EQ(drawn("a red boat").pixels, boat.pixels);
  EXPECT_NE(drawn("a blue house").pixels, boat.pixels);
}

TEST_F(CommandLine, AnInpaintingModelRepaintsUnderTheMaskAndIsShownTheRest) {
  TinySd15Options options;
  options.inpaint = true;
  const std::string checkpoint = "x-inpainting.safetensors";
  folder_->write("checkpoints", checkpoint, options);
  ASSERT_EQ(generate({"--output", file("start.png")}).status, 0);
  Image mask(128, 96, 1);
  for (int y = 0; y < 96; ++y)
    for (int x = 64; x < 128; ++x) mask.pixels[static_cast<std::size_t>(y * 128 + x)] = 255;
  std::ofstream(file("mask.png"), std::ios::binary) << encode_png(mask).value();
  // As of a heartbeat that came after the question.
  const auto encodings = [&] {
    const auto asked = std::chrono::steady_clock::now();
    StatusInfo status;
    EXPECT_TRUE(wait_until([&] {
      status = daemon_->status();
      const std::chrono::duration<double> since = std::chrono::steady_clock::now() - asked;
      return std::ranges::all_of(status.workers, [&](const WorkerInfo& worker) {
        return worker.seconds_since_heartbeat < since.count();
      });
    }));
    std::uint64_t rows = 0;
    for (const WorkerInfo& worker : status.workers)
      for (const auto& [kind, counters] : worker.report.forwards)
        if (kind == "vae_encode") rows += counters.rows;
    return rows;
  };
  const std::uint64_t before = encodings();
  std::vector<std::vector<float>> latents;
  for (const char* seed : {"9", "10"}) {
    const Ended ended =
        luna({"generate", "--checkpoint", checkpoint, "--prompt", "a storm", "--image",
              file("start.png"), "--mask", file("mask.png"), "--steps", "4", "--seed", seed,
              "--save-latents", file("inpaint.safetensors"), "--output", file("inpaint.png")});
    ASSERT_EQ(ended.status, 0) << ended.err;
    latents.push_back(latent_values(file("inpaint.safetensors")));
    ASSERT_EQ(latents.back().size(), 4u * 12 * 16);
  }
  EXPECT_EQ(encodings(), before + 4) << "each time the picture, and the picture without the mask's";
  EXPECT_THAT(read_file(file("inpaint.png")), HasSubstr("InpaintModelConditioning"));
  for (std::size_t i = 0; i < latents[0].size(); ++i) {
    if (i % 16 < 7) {
      EXPECT_NEAR(latents[0][i], latents[1][i], 1e-5) << "cell " << i;
    } else if (i % 16 > 8) {
      EXPECT_NE(latents[0][i], latents[1][i]) << "cell " << i;
    }
  }
  const Ended words =
      luna({"generate", "--checkpoint", checkpoint, "--prompt", "a storm", "--width", "128",
            "--height", "96", "--steps", "2", "--output", file("words.png")});
  EXPECT_EQ(words.status, 0) << words.err;
}

TEST_F(CommandLine, VariantsOfSdxlAreToldFromTheirFilesAndDrawDifferentPictures) {
  std::vector<std::vector<std::uint8_t>> pictures;
  for (const std::string variant : {"", "v", "v-zsnr", "edm", "edm-v"}) {
    TinySd15Options options = TinySd15Options::sdxl();
    options.unet_variant = variant;
    const std::string checkpoint = "xl-variant-" + variant + ".safetensors";
    folder_->write("checkpoints", checkpoint, options);
    const Ended made =
        luna({"generate", "--checkpoint", checkpoint, "--prompt", "a boat", "--width", "64",
              "--height", "64", "--steps", "3", "--seed", "7", "--output", file("variant.png")});
    ASSERT_EQ(made.status, 0) << variant << made.err;
    pictures.push_back(picture(file("variant.png")).pixels);
    for (std::size_t i = 0; i + 1 < pictures.size(); ++i) EXPECT_NE(pictures[i], pictures.back());
  }
}

TEST_F(CommandLine, ALoraIsNamedByAFlagOrInThePromptAndStandsInThePicture) {
  std::filesystem::create_directories(folder_->models() / "loras");
  SafetensorsWriter writer;
  const std::string layer = "lora_unet_mid_block_attentions_0_proj_in";
  writer.add(layer + ".lora_up.weight", {64, 1}, std::vector<float>(64, 0.5F));
  writer.add(layer + ".lora_down.weight", {1, 64}, uniform_values("down", 64));
  writer.write(folder_->models() / "loras/style.safetensors");
  const auto drawn = [&](const std::vector<std::string>& further) {
    std::vector<std::string> arguments = {"--output", file("lora.png")};
    arguments.insert(arguments.end(), further.begin(), further.end());
    const Ended made = generate(arguments);
    EXPECT_EQ(made.status, 0) << made.err;
    return picture(file("lora.png")).pixels;
  };
  const auto plain = drawn({});
  const auto by_flag = drawn({"--lora", "style.safetensors:0.8"});
  EXPECT_NE(by_flag, plain);
  const Ended again = luna({"generate", "--from", file("lora.png"), "--output", file("again.png")});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(picture(file("again.png")).pixels, by_flag);

  const Ended by_tag =
      luna({"generate", "--from", file("lora.png"), "--prompt", "a red boat<lora:style:0.8>",
            "--lora", "style.safetensors:0", "--output", file("tag.png")});
  ASSERT_EQ(by_tag.status, 0) << by_tag.err;
  EXPECT_EQ(picture(file("tag.png")).pixels, by_flag);
}

TEST_F(CommandLine, ManyPicturesGetStrengthsOfTheirOwnAndEachRepeatsAlone) {
  std::filesystem::create_directories(folder_->models() / "loras");
  SafetensorsWriter writer;
  const std::string layer = "lora_unet_mid_block_attentions_0_proj_in";
  writer.add(layer + ".lora_up.weight", {64, 1}, std::vector<float>(64, 0.5F));
  writer.add(layer + ".lora_down.weight", {1, 64}, uniform_values("down", 64));
  writer.write(folder_->models() / "loras/drawn.safetensors");
  const Ended made = generate({"--batch", "18", "--lora", "drawn.safetensors:0.2..0.9:0",
                               "--lora-seed", "3", "--output", file("many.png"), "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  const auto pictures = nlohmann::json::parse(made.out)["pictures"];
  ASSERT_EQ(pictures.size(), 18u) << "in two calls";
  std::set<std::string> different;
  for (const auto& entry : pictures) {
    different.insert(entry["loras"].at(0).get<std::string>());
    EXPECT_EQ(entry["lora_application"], "row-wise");
  }
  EXPECT_EQ(different.size(), 18u);

  for (const int index : {0, 17}) {
    const std::string one = pictures[index]["file"];
    const Ended again = luna({"generate", "--from", one, "--output", file("one.png"), "--json"});
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(nlohmann::json::parse(again.out)["pictures"][0]["loras"], pictures[index]["loras"]);
    EXPECT_LE(largest_difference(picture(file("one.png")), picture(one)), 1);
  }
}

TEST_F(CommandLine, WithoutADaemonAPrivateOneIsStartedAndCanBeFound) {
  const std::filesystem::path runtime = folder_->path() / "runtime";
  std::filesystem::create_directory(runtime);
  std::filesystem::permissions(runtime, std::filesystem::perms::owner_all);
  const std::string config = file("private.toml");
  {
    std::ofstream out(config);
    out << "[server]\nlisten = \"\"\n[models]\nroots = [\"" << folder_->models().string()
        << "\"]\nclip_vocabulary = \"" << clip_vocabulary() << "\"\n[[pool]]\nspare_workers = 0\n";
  }
  const std::vector<std::string> environment = {"XDG_RUNTIME_DIR=" + runtime.string(),
                                                "LUNA_CONFIG=" + config};
  const Ended made = run_program("luna",
                                 {"generate", "--prompt", "a", "--width", "64", "--height", "64",
                                  "--steps", "2", "--output", file("private.png")},
                                 environment);
  ASSERT_EQ(made.status, 0) << made.err;
  const Ended status = run_program("luna", {"status", "--json"}, environment);
  EXPECT_EQ(status.status, 0) << status.err;

  const std::vector<pid_t> daemons =
      processes_with_environment("XDG_RUNTIME_DIR=" + runtime.string());
  EXPECT_EQ(daemons.size(), 2u) << "one lunad and its worker, shared by both commands";
  for (pid_t pid : daemons) kill(pid, SIGTERM);
  EXPECT_TRUE(wait_until(
      [&] { return processes_with_environment("XDG_RUNTIME_DIR=" + runtime.string()).empty(); },
      std::chrono::seconds(20)));
}

}  // namespace
}  // namespace luna::support
