#include <filesystem>

#include "client/cli/metadata.h"
#include "tests/unit/client/cli/command_fixture.h"

namespace luna::client {
namespace {

class Generate : public CommandFixture {
 protected:
  std::vector<std::string> with(std::vector<std::string> more) {
    std::vector<std::string> all = {
        "generate", "--checkpoint", "sd15.safetensors", "--prompt", "a cat",
        "--width",  "32",           "--height",         "16",       "--steps",
        "3",        "--output",     dir_.file("x.png")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(Generate, WritesThePictureItsNameAndTheSeed) {
  ASSERT_EQ(luna(with({"--seed", "7"})), 0) << err_.str();
  EXPECT_EQ(out_.str(), dir_.file("x.png") + "\n");
  EXPECT_TRUE(err_has("seed 7, 32 x 16"));
  const auto file = read_png(dir_.file("x.png"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->image.width, 32);
  EXPECT_EQ(file->texts.size(), 3u);
}

TEST_F(Generate, EveryFlagReachesTheServer) {
  dir_.write("i.png", *encode_png(Image(32, 16, 3)));
  dir_.write("m.png", *encode_png(Image(32, 16, 1)));
  ASSERT_EQ(luna(with({"--vae",
                       "v.safetensors",
                       "--clip",
                       "c.safetensors",
                       "--negative",
                       "blur",
                       "--cfg",
                       "4.5",
                       "--sampler",
                       "dpmpp_2m",
                       "--scheduler",
                       "karras",
                       "--seed",
                       "18446744073709551615",
                       "--denoise",
                       "0.5",
                       "--batch",
                       "2",
                       "--clip-skip",
                       "2",
                       "--image",
                       dir_.file("i.png"),
                       "--mask",
                       dir_.file("m.png"),
                       "--precision",
                       "bf16",
                       "--clip-precision",
                       "f32",
                       "--vae-precision",
                       "fp16",
                       "--address",
                       "host:1"})),
            0)
      << err_.str();
  const RequestedModels& models = fake_->registered[0].second;
  EXPECT_EQ(*models.checkpoint, (ModelRef{"sd15.safetensors", Precision::kBF16}));
  EXPECT_EQ(models.slots.at(Slot::kVae), (ModelRef{"v.safetensors", Precision::kF16}));
  EXPECT_EQ(models.slots.at(Slot::kClipL), (ModelRef{"c.safetensors", Precision::kF32}));
  const SampleRequest& sample = fake_->sampled[0].second;
  EXPECT_EQ(sample.run.sampler, "dpmpp_2m");
  EXPECT_EQ(sample.run.scheduler, "karras");
  EXPECT_EQ(sample.run.steps, 3);
  EXPECT_EQ(sample.run.denoise, 0.5);
  ASSERT_EQ(sample.rows.size(), 2u);
  EXPECT_EQ(sample.rows[1].noise.seed, 18446744073709551615ull);
  EXPECT_EQ(sample.rows[1].guidance.cfg, 4.5);
  EXPECT_TRUE(sample.rows[1].noise_mask);
  EXPECT_EQ(fake_->encoded[0].second.clip_skip, 2);
  EXPECT_EQ(options_.address, "host:1");
  EXPECT_TRUE(options_.start_daemon);
}

TEST_F(Generate, PrecisionOfASlotWithoutAFileOfItsOwnIsSentAsSuch) {
  ASSERT_EQ(luna(with({"--vae-precision", "f32"})), 0);
  EXPECT_EQ(fake_->registered[0].second.slot_precision,
            (std::map<Slot, Precision>{{Slot::kVae, Precision::kF32}}));
}

TEST_F(Generate, FilesOfOneComponentEachNeedNoCheckpoint) {
  const std::vector<std::string> split = {
      "generate",      "--prompt",      "a cat",    "--unet",          "u.safetensors",
      "--clip-l",      "l.safetensors", "--clip-g", "g.safetensors",   "--vae",
      "v.safetensors", "--width",       "32",       "--height",        "16",
      "--precision",   "bf16",          "--output", dir_.file("x.png")};
  ASSERT_EQ(luna(split), 0) << err_.str();
  const RequestedModels models = fake_->registered[0].second;
  EXPECT_FALSE(models.checkpoint);
  EXPECT_EQ(models.slots,
            (std::map<Slot, ModelRef>{{Slot::kUNet, {"u.safetensors", Precision::kBF16}},
                                      {Slot::kVae, {"v.safetensors", Precision::kBF16}},
                                      {Slot::kClipL, {"l.safetensors", Precision::kBF16}},
                                      {Slot::kClipG, {"g.safetensors", Precision::kBF16}}}));
  ASSERT_EQ(luna({"generate", "--from", dir_.file("x.png"), "--output", dir_.file("y.png")}), 0)
      << err_.str();
  EXPECT_EQ(fake_->registered[1].second.slots, models.slots) << "the picture remembers them";
}

TEST_F(Generate, ADiffusersFolderHereIsNamedByItsPath) {
  dir_.write("sdxl/model_index.json", "{}");
  ASSERT_EQ(luna(with({"--unet", dir_.file("sdxl/../sdxl")})), 0) << err_.str();
  EXPECT_EQ(fake_->registered[0].second.slots.at(Slot::kUNet).path, dir_.file("sdxl"));
}

TEST_F(Generate, ABatchIsNumberedFromZero) {
  ASSERT_EQ(luna(with({"--batch", "3"})), 0);
  for (const char* name : {"x_0.png", "x_1.png", "x_2.png"}) {
    EXPECT_TRUE(std::filesystem::exists(dir_.file(name))) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.file("x.png")));
}

TEST_F(Generate, WithoutAnythingButAPromptDefaultsAreTaken) {
  fake_->models.files = {{"checkpoints", "a.safetensors", 1}, {"checkpoints", "b.safetensors", 1}};
  ASSERT_EQ(luna({"generate", "--prompt", "a cat", "--output", dir_.file("x.png")}), 0)
      << err_.str();
  EXPECT_TRUE(err_has("checkpoint: a.safetensors (the first of 2"));
  const SampleRequest& sample = fake_->sampled[0].second;
  EXPECT_EQ(sample.run.steps, 20);
  EXPECT_EQ(sample.run.sampler, "euler");
  EXPECT_EQ(sample.run.scheduler, "normal");
  EXPECT_EQ(sample.rows[0].guidance.cfg, 7.0);
  EXPECT_EQ(sample.rows[0].latent.spec.shape, (std::vector<std::int64_t>{4, 64, 64}));
  EXPECT_LT(sample.rows[0].noise.seed, std::uint64_t{1} << 48);
  EXPECT_TRUE(err_has(fmt::format("seed {}", sample.rows[0].noise.seed)));
}

TEST_F(Generate, NoCheckpointAnywhereSaysWhereOneBelongs) {
  EXPECT_EQ(luna({"generate", "--prompt", "a cat", "--output", dir_.file("x.png")}), 2);
  EXPECT_TRUE(err_has("[models] roots"));
}

TEST_F(Generate, FromAPictureMakesTheSameRequestAgain) {
  ASSERT_EQ(luna(with({"--seed", "7", "--negative", "blur", "--sampler", "heun", "--cfg", "3.25"})),
            0);
  ASSERT_EQ(luna({"generate", "--from", dir_.file("x.png"), "--output", dir_.file("y.png")}), 0)
      << err_.str();
  EXPECT_EQ(support::read_file(dir_.file("x.png")), support::read_file(dir_.file("y.png")));
  EXPECT_EQ(fake_->registered[0].first, fake_->registered[1].first);
}

TEST_F(Generate, FromAPictureCutsItsStartingPictureAgainAndDoesNotResizeIt) {
  dir_.write("i.png", *encode_png(Image(37, 21, 3)));
  ASSERT_EQ(luna({"generate", "--checkpoint", "c", "--prompt", "a", "--image", dir_.file("i.png"),
                  "--output", dir_.file("x.png")}),
            0);
  ASSERT_EQ(luna({"generate", "--from", dir_.file("x.png"), "--output", dir_.file("y.png")}), 0);
  EXPECT_EQ(support::read_file(dir_.file("x.png")), support::read_file(dir_.file("y.png")));
  const auto settings = settings_of_picture(dir_.file("x.png"));
  ASSERT_TRUE(settings.ok());
  EXPECT_FALSE(settings->width);
}

TEST_F(Generate, FromOnePictureOfABatchMakesThatOneAlone) {
  ASSERT_EQ(luna(with({"--batch", "3"})), 0);
  ASSERT_EQ(luna({"generate", "--from", dir_.file("x_2.png"), "--output", dir_.file("y.png")}), 0);
  ASSERT_EQ(fake_->sampled[1].second.rows.size(), 1u);
  EXPECT_EQ(fake_->sampled[1].second.rows[0].noise.batch_index, 2u);
  EXPECT_EQ(support::read_file(dir_.file("x_2.png")), support::read_file(dir_.file("y.png")));
}

TEST_F(Generate, FlagsOverrideWhatThePictureSays) {
  ASSERT_EQ(luna(with({"--seed", "7"})), 0);
  ASSERT_EQ(luna({"generate", "--from", dir_.file("x.png"), "--seed", "8", "--output",
                  dir_.file("y.png")}),
            0);
  EXPECT_EQ(fake_->sampled[1].second.rows[0].noise.seed, 8u);
  EXPECT_EQ(fake_->sampled[1].second.run.steps, 3);
}

TEST_F(Generate, FromAPictureOfOtherProgramsIsRefusedByName) {
  const std::string path = dir_.write("o.png", *encode_png(Image(8, 8, 3), {{"parameters", "x"}}));
  EXPECT_EQ(luna({"generate", "--from", path}), 2);
  EXPECT_TRUE(err_has(path));
}

TEST_F(Generate, JsonTellsFilesSeedAndRequest) {
  ASSERT_EQ(luna(with({"--batch", "2", "--seed", "5", "--json", "--save-latents",
                       dir_.file("l.safetensors")})),
            0);
  const auto object = json_out();
  EXPECT_EQ(object["pictures"][1]["file"], dir_.file("x_1.png"));
  EXPECT_EQ(object["seed"], 5);
  EXPECT_EQ(object["request"]["prompt"], "a cat");
  EXPECT_EQ(object["latents"], dir_.file("l.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(dir_.file("l.safetensors")));
}

TEST_F(Generate, WrongArgumentsEndWithTwoBeforeAnythingIsAsked) {
  EXPECT_EQ(luna({"generate"}), 2);
  EXPECT_TRUE(err_has("a prompt is needed"));
  EXPECT_EQ(luna(with({"--steps", "0"})), 2);
  EXPECT_TRUE(err_has("--steps 0: expected 1 to 10000"));
  EXPECT_EQ(luna(with({"--denoise", "1.5"})), 2);
  EXPECT_EQ(luna(with({"--precision", "f8"})), 2);
  EXPECT_EQ(luna(with({"--mask", "m.png"})), 2);
  EXPECT_EQ(luna(with({"--seed", "x"})), 2);
  EXPECT_EQ(luna(with({"--nonsense"})), 2);
  EXPECT_EQ(luna({"generate", "--prompt", "a", "--output", "x.jpg"}), 2);
  EXPECT_EQ(luna({"generate", "--prompt", "a", "--output", dir_.file("none/x.png")}), 2);
  EXPECT_TRUE(fake_->registered.empty());
}

TEST_F(Generate, ABadSizeNamesTheNearestGoodOne) {
  EXPECT_EQ(luna({"generate", "--checkpoint", "c", "--prompt", "a", "--width", "513", "--output",
                  dir_.file("x.png")}),
            2);
  EXPECT_TRUE(err_has("the nearest is 512"));
}

TEST_F(Generate, FailuresSayWhatHappenedAndWhatToDo) {
  fake_->failures = {{"sample", Status(StatusCode::kResourceExhausted, "out of memory")}};
  EXPECT_EQ(luna(with({"--json"})), 1);
  EXPECT_TRUE(err_has("luna: sampling: out of memory\n      try again later"));
  EXPECT_EQ(json_out()["error"]["code"], "RESOURCE_EXHAUSTED");
  EXPECT_FALSE(std::filesystem::exists(dir_.file("x.png")));
}

TEST_F(Generate, NoDaemonEndsWithThree) {
  connect_failure_ = Status(StatusCode::kUnavailable, "nobody listens");
  EXPECT_EQ(luna(with({})), 3);
  EXPECT_TRUE(err_has("nobody listens"));
}

TEST_F(Generate, CtrlCCancelsOnTheServerAndEndsWith130) {
  std::stop_source stop;
  bool cancellable = false;
  console_.stop = stop.get_token();
  console_.on_cancellable = [&] { cancellable = true; };
  fake_->sample_hangs = true;
  fake_->on_sample_begins = [&] { stop.request_stop(); };
  EXPECT_EQ(luna(with({})), 130);
  EXPECT_TRUE(cancellable);
  EXPECT_EQ(fake_->cancelled, 1);
}

TEST_F(Generate, AFileThatLiesHereIsSentWithItsWholePathUnlessOverTcp) {
  const std::string file = dir_.write("m.safetensors", "x");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir_.path());
  std::vector<std::string> arguments = {"generate",     "--prompt",      "a",
                                        "--checkpoint", "m.safetensors", "--width",
                                        "16",           "--height",      "16"};
  ASSERT_EQ(luna(arguments), 0);
  connection_.address = "host:1";
  ASSERT_EQ(luna(arguments), 0);
  std::filesystem::current_path(before);
  EXPECT_EQ(fake_->registered[0].second.checkpoint->path, file);
  EXPECT_EQ(fake_->registered[1].second.checkpoint->path, "m.safetensors");
  EXPECT_TRUE(std::filesystem::exists(dir_.file("luna.png")));
  EXPECT_TRUE(std::filesystem::exists(dir_.file("luna-2.png")));
}

}  // namespace
}  // namespace luna::client
