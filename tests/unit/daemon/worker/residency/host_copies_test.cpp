// The file source and the machine's host copies.
#include <algorithm>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>

#include "daemon/worker/residency/model_source.h"
#include "tests/support/several_files.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {
namespace {

class RememberedCopies final : public HostCopies {
 public:
  std::optional<HostWeights> find(const ComponentSource& source) override {
    ++asked;
    const auto known = copies.find(source);
    return known == copies.end() ? std::nullopt : std::optional(known->second);
  }
  void keep(const ComponentSource& source, const HostWeights& weights) override {
    copies.emplace(source, weights);
  }
  void give_up(const ComponentSource& source) override { given_up.push_back(source); }
  std::map<ComponentSource, HostWeights> copies;
  std::vector<ComponentSource> given_up;
  int asked = 0;
};

class HostCopiesTest : public ::testing::Test {
 protected:
  HostCopiesTest() {
    support::TinySd15Options options;
    options.with_unet = options.with_text = false;
    options.bare_names = true;
    support::write_tiny_sd15(path_, options);
  }
  FoundComponent vae(ModelSource& source) { return source.inspect(path_).value().at(0); }

  support::TempDir dir_;
  const std::string path_ = dir_.file("vae.safetensors");
  std::shared_ptr<RememberedCopies> copies_ = std::make_shared<RememberedCopies>();
};

TEST_F(HostCopiesTest, WhatIsReadIsOfferedAndWhatIsThereIsNotReadAgain) {
  const auto first = make_file_source(copies_);
  const auto found = vae(*first);
  const auto read = first->read(path_, found, at::kFloat, at::kCPU).value();
  ASSERT_EQ(copies_->copies.size(), 1u);
  EXPECT_EQ(copies_->copies.begin()->first.slot, Slot::kVae);

  const auto second = make_file_source(copies_);  // as after a restart
  const auto copied = second->read(path_, found, at::kFloat, at::kCPU).value();
  EXPECT_EQ(copies_->asked, 2);
  EXPECT_EQ(copied->content_hash(), read->content_hash());
  for (const auto& [name, tensor] : read->tensors()) {
    EXPECT_EQ(tensor.const_data_ptr(), copied->find(name)->const_data_ptr()) << name;
  }
}

TEST_F(HostCopiesTest, ACopyOfAnotherStateOfTheFileIsNotTaken) {
  const auto source = make_file_source(copies_);
  const auto found = vae(*source);
  const std::string before =
      source->read(path_, found, at::kFloat, at::kCPU).value()->content_hash();
  support::TinySd15Options other;
  other.with_unet = other.with_text = false;
  other.bare_names = true;
  other.vae_salt = "another";
  support::write_tiny_sd15(path_, other);
  EXPECT_NE(source->read(path_, found, at::kFloat, at::kCPU).value()->content_hash(), before);
  EXPECT_EQ(copies_->copies.size(), 2u);
}

TEST_F(HostCopiesTest, TheVaeOfAFolderIsTheOneOfTheFileAndItsCopyIsOfOneStateOfAllItsFiles) {
  support::TinySd15Options options;
  options.with_text = false;
  const std::string folder = dir_.file("folder");
  support::write_diffusers_folder(folder, options);
  const auto source = make_file_source(copies_);
  const auto vae_of_folder = [&] {
    const auto found = source->inspect(folder).value();
    const auto vae = std::ranges::find(found, Slot::kVae, [](const FoundComponent& component) {
      return component.detected.info.slot;
    });
    return source->read(folder, *vae, at::kFloat, at::kCPU).value()->content_hash();
  };
  const std::string hash = vae_of_folder();
  EXPECT_EQ(hash, source->read(path_, vae(*source), at::kFloat, at::kCPU).value()->content_hash());
  EXPECT_EQ(vae_of_folder(), hash);
  EXPECT_EQ(copies_->copies.size(), 2u) << "one of the file, one of the folder";
  options.unet_salt = "another";
  support::write_diffusers_folder(folder, options);
  EXPECT_EQ(vae_of_folder(), hash);
  EXPECT_EQ(copies_->copies.size(), 3u) << "any file of the folder makes another state of it";
}

TEST_F(HostCopiesTest, WithoutACopyAndWithoutTheFileTheErrorNamesTheFile) {
  const auto source = make_file_source(copies_);
  const auto found = vae(*source);
  std::filesystem::remove(path_);
  const auto gone = source->read(path_, found, at::kFloat, at::kCPU);
  EXPECT_EQ(gone.status().code(), StatusCode::kNotFound);
  EXPECT_NE(gone.status().message().find(path_), std::string::npos);
}

TEST_F(HostCopiesTest, AReadingThatFailsIsGivenUpSoThatNobodyWaitsForIt) {
  const auto source = make_file_source(copies_);
  const auto found = vae(*source);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  EXPECT_FALSE(source->read(path_, found, at::kFloat, at::kCPU).ok());
  ASSERT_EQ(copies_->given_up.size(), 1u);
  EXPECT_EQ(copies_->given_up[0].file.path, path_);
  EXPECT_EQ(copies_->given_up[0].slot, Slot::kVae);
  EXPECT_TRUE(copies_->copies.empty());
}

}  // namespace
}  // namespace luna::worker
