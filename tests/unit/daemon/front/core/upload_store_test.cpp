#include "daemon/front/core/upload_store.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace luna::front {
namespace {

using testing::HasSubstr;

std::string hash_of(const std::string& content) {
  Sha256 hash;
  hash.update(std::string_view(content));
  return hash.finish();
}

class Uploads : public testing::Test {
 protected:
  std::string folder() const { return dir_.path() + "/uploads"; }
  UploadStore& store() {
    if (!store_) store_ = std::make_unique<UploadStore>(folder(), limits_);
    return *store_;
  }
  Result<std::string> put(const std::string& content, const std::string& hash) {
    auto incoming = store().begin(hash, content.size());
    if (!incoming.ok()) return incoming.status();
    for (std::size_t i = 0; i < content.size(); i += 3)
      LUNA_RETURN_IF_ERROR((*incoming)->append(content.substr(i, 3)));
    return (*incoming)->finish();
  }
  std::string put(const std::string& content) {
    const auto name = put(content, hash_of(content));
    EXPECT_TRUE(name.ok()) << name.status().to_string();
    return name.ok() ? *name : "";
  }
  std::size_t files() const {
    std::error_code failure;
    const std::filesystem::directory_iterator all(folder(), failure);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  support::TempDir dir_;
  UploadStore::Limits limits_{.file_bytes = 100, .total_bytes = 150};
  std::unique_ptr<UploadStore> store_;
};

TEST_F(Uploads, AFileIsFoundByItsContentAlsoAfterARestart) {
  const std::string name = put("a lora");
  EXPECT_EQ(name, "sha256:" + hash_of("a lora"));
  store_.reset();
  const auto path = store().find(name);
  ASSERT_TRUE(path.ok()) << path.status().to_string();
  std::stringstream content;
  content << std::ifstream(*path).rdbuf();
  EXPECT_EQ(content.str(), "a lora");
  EXPECT_TRUE(store().has(hash_of("a lora")));
}

TEST_F(Uploads, TheSameFileTwiceIsKeptOnce) {
  put("a lora");
  put("a lora");
  EXPECT_EQ(files(), 1u);
}

TEST_F(Uploads, AnotherContentThanAnnouncedLeavesNothing) {
  EXPECT_THAT(put("a lora", hash_of("another")).status().message(), HasSubstr(hash_of("a lora")));
  {
    auto incoming = store().begin(hash_of("a lora"), 4);
    ASSERT_TRUE(incoming.ok());
    EXPECT_EQ((*incoming)->append("a lora").code(), StatusCode::kInvalidArgument);
  }
  {
    auto incoming = store().begin(hash_of("a lora"), 60);
    ASSERT_TRUE(incoming.ok());
    ASSERT_TRUE((*incoming)->append("a lora").ok());
    EXPECT_THAT((*incoming)->finish().status().message(), HasSubstr("60 bytes were announced"));
  }
  EXPECT_EQ(files(), 0u);
  EXPECT_FALSE(store().has(hash_of("a lora")));
}

TEST_F(Uploads, WhatWasNotUsedForTheLongestTimeMakesRoom) {
  const std::string a = put(std::string(60, 'a')), b = put(std::string(60, 'b'));
  ASSERT_TRUE(store().find(a).ok());
  const std::string c = put(std::string(60, 'c'));
  EXPECT_TRUE(store().find(a).ok());
  EXPECT_TRUE(store().find(c).ok());
  EXPECT_EQ(store().find(b).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files(), 2u);
}

TEST_F(Uploads, AFileThatIsTooLargeOrHasNoRoomIsRefusedBeforeAByteOfIt) {
  EXPECT_THAT(store().begin(hash_of("x"), 101).status().message(), HasSubstr("adapter_bytes"));
  const auto one = store().begin(hash_of("x"), 100);
  ASSERT_TRUE(one.ok());
  EXPECT_THAT(store().begin(hash_of("y"), 100).status().message(), HasSubstr("uploads_bytes"));
  EXPECT_TRUE(store().begin(hash_of("y"), 50).ok());
}

TEST_F(Uploads, NamesThatAreNoHashNeverBecomePaths) {
  for (const std::string name : {"sha256:", "sha256:../../etc/passwd", "sha256:ABC", "plain"}) {
    EXPECT_EQ(store().find(name).status().code(), StatusCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(store().begin("../x", 1).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(Uploads, WithoutAFolderNothingIsTaken) {
  UploadStore none("", limits_);
  EXPECT_EQ(none.begin(hash_of("x"), 1).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(Uploads, WhatAKilledDaemonHadBegunIsCleanedUpAndWhatALivingOneWritesIsNot) {
  std::filesystem::create_directories(folder());
  std::ofstream(fmt::format("{}/{}-99999999-1.part", folder(), hash_of("x"))) << "half";
  std::ofstream(fmt::format("{}/{}-{}-1.part", folder(), hash_of("y"), ::getpid())) << "half";
  store();
  EXPECT_EQ(files(), 1u);
}

TEST_F(Uploads, AFileThatAnotherDaemonRemovedIsNotThere) {
  const std::string name = put("a lora");
  std::filesystem::remove(*store().find(name));
  EXPECT_FALSE(store().has(hash_of("a lora")));
  EXPECT_EQ(store().find(name).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(put("a lora"), name);
}

}  // namespace
}  // namespace luna::front
