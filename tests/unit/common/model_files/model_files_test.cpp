#include "common/model_files/model_files.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace luna {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class ModelFilesTest : public testing::Test {
 protected:
  /// Names relative to the temporary folder.
  std::vector<std::string> files_of(const std::string& name) {
    const auto found = find_model_files(dir_.file(name));
    EXPECT_TRUE(found.ok()) << found.status().to_string();
    std::vector<std::string> names;
    if (!found.ok()) return names;
    for (const std::string& file : found->all())
      names.push_back(fs::path(file).lexically_relative(dir_.path()).string());
    return names;
  }
  std::string refusal(const std::string& name) {
    const auto identity = identify_model(dir_.file(name));
    return identity.ok() ? "no error" : identity.status().to_string();
  }
  FileIdentity identity(const std::string& name) {
    const auto identity = identify_model(dir_.file(name));
    EXPECT_TRUE(identity.ok()) << identity.status().to_string();
    return identity.ok() ? *identity : FileIdentity();
  }
  void write_shards() {
    dir_.write("x.safetensors.index.json",
               R"({"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}})");
    dir_.write("x-1.safetensors", "one");
    dir_.write("x-2.safetensors", "three");
  }
  void write_folder() {
    for (const char* file :
         {"sd/model_index.json", "sd/unet/config.json",
          "sd/unet/diffusion_pytorch_model.safetensors", "sd/text_encoder/model.safetensors",
          "sd/vae/diffusion_pytorch_model.fp16.safetensors", "sd/safety_checker/model.safetensors"})
      dir_.write(file, "{}");
  }

  support::TempDir dir_;
};

TEST_F(ModelFilesTest, AFileStandsForItselfAndKeepsItsIdentity) {
  dir_.write("x.safetensors", "some");
  dir_.write("config.json", "of something else");
  EXPECT_THAT(files_of("x.safetensors"), ElementsAre("x.safetensors"));
  EXPECT_EQ(identity("x.safetensors").size, 4u);
  EXPECT_EQ(identity("x.safetensors").parts, "");
  EXPECT_THAT(refusal("none.safetensors"), HasSubstr("NOT_FOUND"));
}

TEST_F(ModelFilesTest, AnIndexStandsForItsShards) {
  write_shards();
  EXPECT_THAT(files_of("x.safetensors.index.json"),
              ElementsAre("x.safetensors.index.json", "x-1.safetensors", "x-2.safetensors"));
  const FileIdentity sum = identity("x.safetensors.index.json");
  EXPECT_EQ(sum.path, dir_.file("x.safetensors.index.json"));
  EXPECT_EQ(sum.size, fs::file_size(sum.path) + 8);
  EXPECT_EQ(sum.parts.size(), 64u);
  EXPECT_EQ(identity("x.safetensors.index.json"), sum);
}

TEST_F(ModelFilesTest, AChangeOfAnyShardOrOfTheIndexIsAnotherModel) {
  write_shards();
  const FileIdentity first = identity("x.safetensors.index.json");
  dir_.write("x-1.safetensors", "ONE");
  fs::last_write_time(dir_.file("x-1.safetensors"), fs::file_time_type::clock::now());
  const FileIdentity second = identity("x.safetensors.index.json");
  EXPECT_NE(second, first);
  dir_.write("y.safetensors", "three");
  fs::rename(dir_.file("y.safetensors"), dir_.file("x-2.safetensors"));
  const FileIdentity third = identity("x.safetensors.index.json");
  EXPECT_NE(third, second);
  dir_.write("x.safetensors.index.json", R"({"weight_map": {"a": "x-1.safetensors"}})");
  EXPECT_NE(identity("x.safetensors.index.json"), third);
  EXPECT_THAT(files_of("x.safetensors.index.json"),
              ElementsAre("x.safetensors.index.json", "x-1.safetensors"));
}

TEST_F(ModelFilesTest, AMissingShardIsNamedWithItsIndexAndATensor) {
  write_shards();
  fs::remove(dir_.file("x-2.safetensors"));
  EXPECT_THAT(refusal("x.safetensors.index.json"),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr(dir_.file("x.safetensors.index.json")),
                    HasSubstr("'x-2.safetensors', which should hold 'b'")));
}

TEST_F(ModelFilesTest, ADamagedIndexIsNamed) {
  dir_.write("x.safetensors.index.json", R"({"weight_map": {"a": "../x.safetensors"}})");
  EXPECT_THAT(refusal("x.safetensors.index.json"),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("x.safetensors.index.json"),
                    HasSubstr("leads out")));
  dir_.write("x.safetensors.index.json", "");
  fs::resize_file(dir_.file("x.safetensors.index.json"), kMaxShardIndexBytes + 1);
  EXPECT_THAT(refusal("x.safetensors.index.json"), HasSubstr("at most"));
}

TEST_F(ModelFilesTest, ADiffusersFolderStandsForItsComponents) {
  write_folder();
  EXPECT_TRUE(is_diffusers_folder(dir_.file("sd")));
  EXPECT_THAT(files_of("sd"),
              ElementsAre("sd/model_index.json", "sd/unet/diffusion_pytorch_model.safetensors",
                          "sd/unet/config.json", "sd/vae/diffusion_pytorch_model.fp16.safetensors",
                          "sd/text_encoder/model.safetensors"));
  const auto found = find_model_files(dir_.file("sd"));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->parts.at(0).prefix, "unet/");
  EXPECT_EQ(found->parts.at(1).prefix, "vae/");
}

TEST_F(ModelFilesTest, HalfPrecisionIsTakenFirstAndAWholeFileBeforeShards) {
  write_folder();
  dir_.write("sd/unet/diffusion_pytorch_model.fp16.safetensors", "{}");
  dir_.write("sd/unet/diffusion_pytorch_model.safetensors.index.json",
             R"({"weight_map": {"a": "s-1.safetensors"}})");
  const auto unet = [&] { return find_model_files(dir_.file("sd"))->parts.at(0); };
  EXPECT_THAT(unet().files.at(0), HasSubstr("model.fp16.safetensors"));
  fs::remove(dir_.file("sd/unet/diffusion_pytorch_model.fp16.safetensors"));
  fs::remove(dir_.file("sd/unet/diffusion_pytorch_model.safetensors"));
  EXPECT_THAT(unet().files, ElementsAre(dir_.file("sd/unet/s-1.safetensors")));
  EXPECT_THAT(refusal("sd"), HasSubstr("'s-1.safetensors', which should hold 'a'"));
}

TEST_F(ModelFilesTest, AFoldersIdentityFollowsEveryFileThatCounts) {
  write_folder();
  FileIdentity before = identity("sd");
  const auto changed = [&](const std::string& name) {
    dir_.write(name, "longer than it was");
    const FileIdentity after = identity("sd");
    const bool differs = after != before;
    before = after;
    return differs;
  };
  EXPECT_TRUE(changed("sd/unet/diffusion_pytorch_model.safetensors"));
  EXPECT_TRUE(changed("sd/unet/config.json"));
  EXPECT_TRUE(changed("sd/model_index.json"));
  EXPECT_TRUE(changed("sd/vae/config.json")) << "it was not there before";
  EXPECT_TRUE(changed("sd/scheduler/scheduler_config.json"));
  EXPECT_TRUE(changed("sd/text_encoder_2/model.safetensors"));
  EXPECT_FALSE(changed("sd/safety_checker/model.safetensors"));
}

TEST_F(ModelFilesTest, AFolderThatIsNoneOfDiffusersIsRefused) {
  fs::create_directories(dir_.file("plain"));
  EXPECT_THAT(refusal("plain"), HasSubstr("without a model_index.json"));
  dir_.write("empty/model_index.json", "{}");
  EXPECT_THAT(refusal("empty"), HasSubstr("expected a subfolder unet"));
  dir_.write("pickles/model_index.json", "{}");
  dir_.write("pickles/unet/diffusion_pytorch_model.bin", "");
  EXPECT_THAT(refusal("pickles"), AllOf(HasSubstr("pickles/unet"), HasSubstr("pickles and not")));
}

TEST_F(ModelFilesTest, AConfigurationCountsBesideAFileWithItsUsualName) {
  dir_.write("te/model.safetensors", "x");
  const FileIdentity alone = identity("te/model.safetensors");
  EXPECT_EQ(alone.parts, "");
  dir_.write("te/config.json", "{}");
  EXPECT_THAT(files_of("te/model.safetensors"),
              ElementsAre("te/model.safetensors", "te/config.json"));
  EXPECT_NE(identity("te/model.safetensors"), alone);
}

}  // namespace
}  // namespace luna
