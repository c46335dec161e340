#include "common/config/extra_model_paths.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace luna {
namespace {

namespace fs = std::filesystem;

class ExtraModelPaths : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("luna_yaml_{}", ::getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// "kind=folder" for each entry, or the error.
  std::vector<std::string> read(const std::string& text) {
    const std::string path = (folder_ / "extra.yaml").string();
    std::ofstream(path) << text;
    const auto paths = load_extra_model_paths(path);
    if (!paths.ok()) return {paths.status().to_string()};
    std::vector<std::string> out;
    for (const ExtraModelPath& p : *paths) out.push_back(p.kind + "=" + p.folder);
    return out;
  }

  fs::path folder_;
};

TEST_F(ExtraModelPaths, PathsStartFromTheBasePath) {
  EXPECT_THAT(read("a111:\n  base_path: /webui\n  vae: models/VAE\n  loras: |\n    models/Lora\n"
                   "    models/LyCORIS\n"),
              testing::UnorderedElementsAre("vae=/webui/models/VAE", "loras=/webui/models/Lora",
                                            "loras=/webui/models/LyCORIS"));
}

TEST_F(ExtraModelPaths, WithoutABasePathTheyStartFromTheFile) {
  EXPECT_THAT(read("x:\n  vae: v\n"), testing::ElementsAre("vae=" + (folder_ / "v").string()));
}

TEST_F(ExtraModelPaths, ADefaultSectionComesFirst) {
  EXPECT_THAT(read("a:\n  vae: /a\nb:\n  is_default: true\n  vae: /b\n"),
              testing::ElementsAre("vae=/b", "vae=/a"));
}

TEST_F(ExtraModelPaths, AnEmptyFileAndAnEmptySectionNameNothing) {
  EXPECT_THAT(read(""), testing::IsEmpty());
  EXPECT_THAT(read("comfyui:\n"), testing::IsEmpty());
}

TEST_F(ExtraModelPaths, ErrorsNameFileAndLine) {
  EXPECT_THAT(read("a:\n  vae: [1, 2]\n"),
              testing::ElementsAre(testing::HasSubstr("extra.yaml:2")));
  EXPECT_THAT(read("a: {\n"), testing::ElementsAre(testing::HasSubstr("INVALID_ARGUMENT")));
  EXPECT_THAT(read("- a\n"), testing::ElementsAre(testing::HasSubstr("expected sections")));
  EXPECT_EQ(load_extra_model_paths("/nowhere.yaml").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace luna
