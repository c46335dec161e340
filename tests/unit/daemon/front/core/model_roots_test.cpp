#include "daemon/front/core/model_roots.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace luna::front {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Roots : public testing::Test {
 protected:
  Roots() {
    folder_.write("models/checkpoints/sd15/dream.safetensors", "1");
    folder_.write("models/vae/vae.safetensors", "22");
    folder_.write("models/vae/readme.txt", "no model");
    folder_.write("elsewhere/secret.safetensors", "333");
    base_ = fs::canonical(folder_.path());
    config_.roots = {(base_ / "models").string()};
  }
  ModelRoots open() {
    Result<ModelRoots> roots = ModelRoots::open(config_);
    EXPECT_TRUE(roots.ok()) << roots.status().to_string();
    return *roots;
  }
  std::string find(const std::string& name, bool anywhere,
                   std::vector<std::string_view> kinds = ModelRoots::all_kinds()) {
    const Result<std::string> found = open().find(name, kinds, anywhere);
    return found.ok() ? fs::path(*found).lexically_relative(base_).string()
                      : found.status().to_string();
  }
  void link(const std::string& at, const std::string& to) {
    fs::create_symlink(base_ / to, base_ / at);
  }

  support::TempDir folder_;
  fs::path base_;
  Config::Models config_;
};

TEST_F(Roots, AFileIsNamedAsInComfyUI) {
  EXPECT_EQ(find("sd15/dream.safetensors", false), "models/checkpoints/sd15/dream.safetensors");
  EXPECT_EQ(find("vae/vae.safetensors", false), "models/vae/vae.safetensors");
  EXPECT_EQ(find((base_ / "models/vae/vae.safetensors").string(), false),
            "models/vae/vae.safetensors");
}

TEST_F(Roots, TheKindOfTheSlotDecidesWhereIsLooked) {
  EXPECT_EQ(find("vae.safetensors", false, ModelRoots::kinds_of(Slot::kVae)),
            "models/vae/vae.safetensors");
  EXPECT_THAT(find("vae.safetensors", false, ModelRoots::checkpoint_kinds()),
              HasSubstr("NOT_FOUND"));
  EXPECT_EQ(find("sd15/dream.safetensors", false, ModelRoots::kinds_of(Slot::kVae)),
            "models/checkpoints/sd15/dream.safetensors");
}

TEST_F(Roots, AMissingFileSaysWhereItLookedAndWhatIsNear) {
  EXPECT_THAT(find("dreem.safetensors", false, ModelRoots::checkpoint_kinds()),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("models/checkpoints"),
                    HasSubstr("did you mean 'sd15/dream.safetensors'")));
  EXPECT_THAT(find("x.safetensors", false, {"upscale_models"}),
              HasSubstr("none of the folders upscale_models exists"));
}

TEST_F(Roots, ALocalCallerMayNameAnyFileByItsPath) {
  EXPECT_EQ(find((base_ / "elsewhere/secret.safetensors").string(), true),
            "elsewhere/secret.safetensors");
}

TEST_F(Roots, ARemoteCallerStaysBelowTheRoots) {
  EXPECT_THAT(find((base_ / "elsewhere/secret.safetensors").string(), false),
              HasSubstr("PERMISSION_DENIED"));
  EXPECT_THAT(find("../../elsewhere/secret.safetensors", false), HasSubstr("PERMISSION_DENIED"));
  EXPECT_THAT(find("/etc/passwd", false), HasSubstr("PERMISSION_DENIED"));
}

TEST_F(Roots, ARemoteCallerCannotTellWhetherAFileOutsideExists) {
  const std::string there = find("/etc/passwd", false);
  std::string absent = find("/etc/pass-none", false);
  EXPECT_EQ(absent.replace(absent.find("pass-none"), 9, "passwd"), there);
}

TEST_F(Roots, ALinkThatLeadsOutsideIsDeniedToRemoteCallers) {
  link("models/vae/link.safetensors", "elsewhere/secret.safetensors");
  link("models/loras", "elsewhere");
  EXPECT_THAT(find("link.safetensors", false), HasSubstr("PERMISSION_DENIED"));
  EXPECT_THAT(find("loras/secret.safetensors", false), HasSubstr("PERMISSION_DENIED"));
  EXPECT_EQ(find("link.safetensors", true), "elsewhere/secret.safetensors");
}

TEST_F(Roots, ALinkWithinTheRootsIsFollowed) {
  link("models/vae/alias.safetensors", "models/checkpoints/sd15/dream.safetensors");
  EXPECT_EQ(find("alias.safetensors", false), "models/checkpoints/sd15/dream.safetensors");
}

TEST_F(Roots, ARootWhoseNameBeginsAnothersIsNotThatOther) {
  folder_.write("models-private/x.safetensors", "x");
  EXPECT_THAT(find((base_ / "models-private/x.safetensors").string(), false),
              HasSubstr("PERMISSION_DENIED"));
}

TEST_F(Roots, OnlyRegularFilesAreServed) {
  EXPECT_THAT(find("checkpoints/sd15", true), HasSubstr("is a folder"));
  ASSERT_EQ(::mkfifo((base_ / "models/vae/pipe.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(find("pipe.safetensors", true), HasSubstr("not a regular file"));
}

TEST_F(Roots, NamesThatCannotBeFilesAreRefused) {
  EXPECT_THAT(find("", true), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(find(std::string("a\0b", 3), true), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(find(std::string(5000, 'a'), true), HasSubstr("INVALID_ARGUMENT"));
}

TEST_F(Roots, ListsModelFilesByFolder) {
  const auto files = open().list("", false);
  ASSERT_TRUE(files.ok());
  std::vector<std::string> names;
  for (const ModelFileInfo& file : *files) {
    names.push_back(fmt::format("{}:{}:{}", file.folder, file.file, file.bytes));
  }
  EXPECT_THAT(names, ElementsAre("checkpoints:sd15/dream.safetensors:1", "vae:vae.safetensors:2"));
  EXPECT_THAT(open().list("checkpoint", false).status().message(),
              HasSubstr("did you mean 'checkpoints'"));
}

TEST_F(Roots, AListForRemoteCallersLeavesOutWhatTheyCannotReach) {
  link("models/vae/link.safetensors", "elsewhere/secret.safetensors");
  EXPECT_EQ(open().list("vae", false)->size(), 1u);
  EXPECT_EQ(open().list("vae", true)->size(), 2u);
}

TEST_F(Roots, AFolderThatLinksToItselfIsWalkedOnce) {
  link("models/vae/loop", "models/vae");
  EXPECT_EQ(open().list("vae", false)->size(), 1u);
}

TEST_F(Roots, ExtraModelPathsAreSearchedAndAreRootsThemselves) {
  config_.extra_model_paths =
      folder_.write("extra.yaml", "x:\n  base_path: " + base_.string() + "\n  loras: elsewhere\n");
  EXPECT_EQ(find("secret.safetensors", false, ModelRoots::lora_kinds()),
            "elsewhere/secret.safetensors");
}

TEST_F(Roots, ADiffusersFolderIsNamedAsInComfyUI) {
  folder_.write("models/diffusers/sdxl/model_index.json", "{}");
  folder_.write("models/diffusers/sdxl/unet/diffusion_pytorch_model.safetensors", "4444");
  folder_.write("models/diffusers/plain/readme.txt", "no model");
  for (const auto& kinds : {ModelRoots::checkpoint_kinds(), ModelRoots::kinds_of(Slot::kUNet),
                            ModelRoots::kinds_of(Slot::kVae), ModelRoots::kinds_of(Slot::kClipG)})
    EXPECT_EQ(find("sdxl", false, kinds), "models/diffusers/sdxl");
  EXPECT_THAT(find("plain", false, ModelRoots::checkpoint_kinds()),
              AllOf(HasSubstr("is a folder"), HasSubstr("model_index.json")));
  const auto files = open().list("diffusers", false);
  ASSERT_EQ(files->size(), 1u) << "one entry stands for its files";
  EXPECT_EQ(files->at(0).file, "sdxl");
  EXPECT_EQ(files->at(0).bytes, 6u);
}

TEST_F(Roots, AShardIndexStandsForItsShards) {
  folder_.write("models/unet/big.safetensors.index.json",
                R"({"weight_map": {"a": "big-1.safetensors", "b": "big-2.safetensors"}})");
  folder_.write("models/unet/big-1.safetensors", "1");
  folder_.write("models/unet/big-2.safetensors", "22");
  folder_.write("models/unet/other.safetensors", "333");
  EXPECT_EQ(find("big.safetensors.index.json", false, ModelRoots::kinds_of(Slot::kUNet)),
            "models/unet/big.safetensors.index.json");
  const auto files = open().list("unet", false);
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ(files->at(0).file, "big.safetensors.index.json");
  EXPECT_EQ(files->at(1).file, "other.safetensors");
}

TEST_F(Roots, AnIndexInADownloadCacheKeepsItsNameForItsShardsLieBesideTheLink) {
  folder_.write("blobs/aaaa", R"({"weight_map": {"a": "big-1.safetensors"}})");
  folder_.write("blobs/bbbb", "1");
  link("models/vae/big.safetensors.index.json", "blobs/aaaa");
  link("models/vae/big-1.safetensors", "blobs/bbbb");
  EXPECT_EQ(find("big.safetensors.index.json", true), "models/vae/big.safetensors.index.json");
  EXPECT_THAT(find("big.safetensors.index.json", false), HasSubstr("PERMISSION_DENIED"));
}

TEST_F(Roots, AShardOrAComponentOutsideTheRootsIsDeniedToRemoteCallers) {
  folder_.write("models/vae/big.safetensors.index.json",
                R"({"weight_map": {"a": "big-1.safetensors"}})");
  link("models/vae/big-1.safetensors", "elsewhere/secret.safetensors");
  EXPECT_THAT(find("big.safetensors.index.json", false), HasSubstr("PERMISSION_DENIED"));
  EXPECT_EQ(find("big.safetensors.index.json", true), "models/vae/big.safetensors.index.json");
  folder_.write("models/diffusers/sd/model_index.json", "{}");
  fs::create_directories(base_ / "models/diffusers/sd/vae");
  link("models/diffusers/sd/vae/diffusion_pytorch_model.safetensors",
       "elsewhere/secret.safetensors");
  EXPECT_THAT(find("sd", false), HasSubstr("PERMISSION_DENIED"));
  EXPECT_EQ(find("sd", true), "models/diffusers/sd");
}

TEST_F(Roots, ARootThatIsNotThereIsAnError) {
  config_.roots.push_back("/no/such/root");
  EXPECT_EQ(ModelRoots::open(config_).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace luna::front
