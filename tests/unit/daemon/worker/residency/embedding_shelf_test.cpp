#include "daemon/worker/residency/embedding_shelf.h"

#include <filesystem>

#include <gmock/gmock.h>

#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using testing::ElementsAre;

void write_embedding(const std::string& path, std::vector<float> values) {
  support::SafetensorsWriter writer;
  const auto width = static_cast<std::int64_t>(values.size());
  writer.add("emb_params", {1, width}, std::move(values));
  writer.write(path);
}

TEST(EmbeddingShelf, FindsANameWithOrWithoutItsExtensionInFolderOrder) {
  support::TempDir first, second;
  write_embedding(second.file("style.safetensors"), {1, 2});
  EmbeddingShelf shelf({first.path(), second.path(), "/nowhere"});
  EXPECT_THAT(*shelf.find("style", 2), ElementsAre(ElementsAre(1, 2)));
  EXPECT_THAT(*shelf.find("style.safetensors", 2), ElementsAre(ElementsAre(1, 2)));
  write_embedding(first.file("style.safetensors"), {3, 4});
  EXPECT_THAT(*shelf.find("style", 2), ElementsAre(ElementsAre(3, 4)));
}

TEST(EmbeddingShelf, NoticesAChangedFileAndAWrongWidth) {
  support::TempDir dir;
  EmbeddingShelf shelf({dir.path()});
  write_embedding(dir.file("style.safetensors"), {1, 2});
  EXPECT_THAT(*shelf.find("style", 2), ElementsAre(ElementsAre(1, 2)));
  std::filesystem::remove(dir.file("style.safetensors"));
  write_embedding(dir.file("style.safetensors"), {5, 6, 7});
  EXPECT_THAT(*shelf.find("style", 3), ElementsAre(ElementsAre(5, 6, 7)));
  EXPECT_FALSE(shelf.find("style", 2).ok());
}

TEST(EmbeddingShelf, NamesThatLeadOutOfTheFoldersAreNotFound) {
  support::TempDir outside, dir;
  write_embedding(outside.file("secret.safetensors"), {1, 2});
  std::filesystem::create_symlink(outside.file("secret.safetensors"), dir.file("link.safetensors"));
  EmbeddingShelf shelf({dir.path()});
  const std::string name = std::filesystem::path(outside.path()).filename().string();
  for (const std::string& escape :
       {"../" + name + "/secret", outside.file("secret"), std::string("link"), std::string(),
        std::string(2000, 'a'), std::string("a\0b", 3)}) {
    EXPECT_EQ(shelf.find(escape, 2).status().code(), StatusCode::kNotFound) << escape;
  }
}

}  // namespace
}  // namespace luna::worker
