#include "daemon/worker/weights/weight_loader.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tensor_error.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {
namespace {

using ::testing::HasSubstr;

std::function<std::string(const std::string&)> below(std::string prefix) {
  return [prefix = std::move(prefix)](const std::string& name) {
    return name.starts_with(prefix) ? name.substr(prefix.size()) : std::string();
  };
}

std::vector<float> floats(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kFloat).contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

/// A checkpoint of VAE and text encoder, written once.
class WeightLoaderTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new support::TempDir();
    support::TinySd15Options options;
    options.with_unet = false;
    support::write_tiny_sd15(checkpoint(), options);
  }
  static void TearDownTestSuite() { delete dir_; }
  static std::string checkpoint() { return dir_->file("checkpoint.safetensors"); }

  static Result<std::shared_ptr<const WeightStore>> load_vae(at::ScalarType storage = at::kFloat) {
    return load_weights({checkpoint(), below("first_stage_model."), storage, at::kCPU});
  }
  static support::TempDir* dir_;
};
support::TempDir* WeightLoaderTest::dir_ = nullptr;

TEST_F(WeightLoaderTest, TheDirectoryListsNamesShapesAndTypes) {
  const auto directory = read_directory(checkpoint());
  ASSERT_TRUE(directory.ok()) << directory.status().to_string();
  EXPECT_EQ(directory->shape("first_stage_model.decoder.conv_in.weight"),
            (std::vector<std::int64_t>{64, 4, 3, 3}));
  EXPECT_EQ(read_directory(dir_->file("absent")).status().code(), StatusCode::kNotFound);
}

TEST_F(WeightLoaderTest, LoadsOneComponentUnderItsOwnNames) {
  const auto vae = load_vae();
  ASSERT_TRUE(vae.ok()) << vae.status().to_string();
  EXPECT_EQ((*vae)->tensors().size(), support::tiny_vae_tensors({}).size());
  const at::Tensor* weight = (*vae)->find("decoder.conv_in.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->sizes(), (std::vector<std::int64_t>{64, 4, 3, 3}));
  std::vector<float> expected(64 * 4 * 9);
  support::fill_weight("decoder.conv_in.weight", weight->sizes(), expected);
  EXPECT_EQ(floats(*weight), expected);
}

TEST_F(WeightLoaderTest, FloatingTensorsAreConvertedAndTheHashIsOfTheFilesBytes) {
  const auto exact = load_vae(), rounded = load_vae(at::kBFloat16);
  ASSERT_TRUE(exact.ok() && rounded.ok());
  const at::Tensor& weight = *(*rounded)->find("decoder.conv_in.weight");
  EXPECT_EQ(weight.scalar_type(), at::kBFloat16);
  EXPECT_THAT(floats(weight),
              support::IsNear(floats(*(*exact)->find("decoder.conv_in.weight")), 4e-3));
  EXPECT_EQ((*exact)->content_hash(), (*rounded)->content_hash());
  EXPECT_EQ((*exact)->content_hash().size(), 64u);
}

TEST_F(WeightLoaderTest, TheSameComponentHasTheSameHashInEveryFile) {
  support::TinySd15Options alone;
  alone.with_unet = alone.with_text = false;
  alone.bare_names = true;
  support::write_tiny_sd15(dir_->file("vae"), alone);
  alone.vae_salt = "other";
  support::write_tiny_sd15(dir_->file("other"), alone);
  const auto hash = [&](const char* name) {
    return load_weights({dir_->file(name), nullptr, at::kFloat, at::kCPU}).value()->content_hash();
  };
  EXPECT_EQ(hash("vae"), load_vae().value()->content_hash());
  EXPECT_NE(hash("vae"), hash("other"));
}

TEST_F(WeightLoaderTest, TheHashSeesNamesShapesAndTypes) {
  const auto hash = [&](const std::string& name, TensorSpec spec) {
    support::SafetensorsWriter writer;
    writer.add_bytes(name, spec, std::string(spec.byte_size(), 'x'));
    writer.write(dir_->file("one"));
    return load_weights({dir_->file("one"), nullptr, at::kFloat, at::kCPU}).value()->content_hash();
  };
  const std::string base = hash("a", {DType::kF16, {2, 4}});
  EXPECT_EQ(hash("a", {DType::kF16, {2, 4}}), base);
  EXPECT_NE(hash("b", {DType::kF16, {2, 4}}), base);
  EXPECT_NE(hash("a", {DType::kF16, {4, 2}}), base);
  EXPECT_NE(hash("a", {DType::kBF16, {2, 4}}), base);
}

TEST_F(WeightLoaderTest, WholeNumbersAndBoolsKeepTheirType) {
  support::SafetensorsWriter writer;
  writer.add_bytes("ids", {DType::kI64, {1}}, std::string("\x05\0\0\0\0\0\0\0", 8));
  writer.add_bytes("mask", {DType::kBool, {3}}, std::string("\x00\x01\xff", 3));
  writer.add_bytes("empty", {DType::kF32, {0, 4}}, "");
  writer.write(dir_->file("kinds"));
  const auto store = load_weights({dir_->file("kinds"), nullptr, at::kHalf, at::kCPU});
  ASSERT_TRUE(store.ok()) << store.status().to_string();
  EXPECT_EQ((*store)->find("ids")->item<std::int64_t>(), 5);
  const at::Tensor& mask = *(*store)->find("mask");
  EXPECT_EQ(mask.scalar_type(), at::kBool);
  EXPECT_EQ(mask.to(at::kInt).sum().item<int>(), 2);
  EXPECT_EQ((*store)->find("empty")->scalar_type(), at::kHalf);
}

TEST_F(WeightLoaderTest, SingleNumbersAreSettingsAndKeepTheirValueInEveryPrecision) {
  support::SafetensorsWriter writer;
  writer.add("sigma", {1}, std::vector<float>{0.002F});
  writer.add("weights", {2}, std::vector<float>{0.002F, 1.0F});
  writer.write(dir_->file("settings"));
  const auto store = load_weights({dir_->file("settings"), nullptr, at::kBFloat16, at::kCPU});
  ASSERT_TRUE(store.ok()) << store.status().to_string();
  EXPECT_EQ((*store)->find("sigma")->item<float>(), 0.002F);
  EXPECT_EQ((*store)->find("weights")->scalar_type(), at::kBFloat16);
}

TEST_F(WeightLoaderTest, RefusesAnEmptySelectionAndTwoTensorsOfOneName) {
  const auto none = load_weights({checkpoint(), below("absent."), at::kFloat, at::kCPU});
  EXPECT_EQ(none.status().code(), StatusCode::kInvalidArgument);
  const auto twice =
      load_weights({checkpoint(), [](const std::string&) { return "x"; }, at::kFloat, at::kCPU});
  EXPECT_THAT(twice.status().message(), HasSubstr("are both 'x'"));
}

TEST_F(WeightLoaderTest, AFileThatShrinksWhileItIsReadIsDataLossAndNothingElse) {
  const std::string path = dir_->file("shrinking");
  std::filesystem::copy_file(checkpoint(), path);
  // The selection runs between the header and the first tensor.
  const auto shrink = [&](const std::string& name) {
    if (name.ends_with("decoder.conv_in.weight")) std::filesystem::resize_file(path, 200000);
    return name;
  };
  const auto store = load_weights({path, shrink, at::kFloat, at::kCPU});
  EXPECT_EQ(store.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(store.status().message(), HasSubstr(path));
}

TEST_F(WeightLoaderTest, AFileThatGrowsWhileItIsReadIsDataLoss) {
  const std::string path = dir_->file("growing");
  std::filesystem::copy_file(checkpoint(), path);
  const auto grow = [&](const std::string& name) {
    if (name.ends_with("decoder.conv_in.weight")) std::ofstream(path, std::ios::app) << "x";
    return name;
  };
  EXPECT_EQ(load_weights({path, grow, at::kFloat, at::kCPU}).status().code(),
            StatusCode::kDataLoss);
}

TEST_F(WeightLoaderTest, OnTheCpuWeightsOfTheStorageTypeAreTheSealedMemoryItself) {
  auto weights = read_weights(checkpoint(), below("first_stage_model."));
  ASSERT_TRUE(weights.ok()) << weights.status().to_string();
  EXPECT_GE(weights->bytes->fd(), 0);
  const auto memory = weights->bytes->view();
  const auto inside = [&](const at::Tensor& tensor) {
    const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr());
    return data >= memory.data() && data + tensor.nbytes() <= memory.data() + memory.size();
  };
  const auto same = place_weights(*weights, at::kFloat, at::kCPU).value();
  const auto half = place_weights(*weights, at::kHalf, at::kCPU).value();
  EXPECT_EQ(same->content_hash(), weights->content_hash);
  for (const auto& [name, tensor] : same->tensors()) {
    EXPECT_TRUE(inside(tensor)) << name;
    EXPECT_FALSE(inside(*half->find(name))) << name;
    EXPECT_TRUE(tensor.to(at::kHalf).equal(*half->find(name))) << name;
  }
}

TEST_F(WeightLoaderTest, PlacedWeightsOutliveTheFileAndItsHostCopy) {
  const std::string path = dir_->file("gone");
  std::filesystem::copy_file(checkpoint(), path);
  std::shared_ptr<const WeightStore> store;
  {
    const auto weights = read_weights(path, below("first_stage_model."));
    store = place_weights(*weights, at::kFloat, at::kCPU).value();
  }
  std::filesystem::resize_file(path, 0);
  const auto kept = load_vae().value();
  for (const auto& [name, tensor] : store->tensors()) EXPECT_TRUE(tensor.equal(*kept->find(name)));
}

TEST_F(WeightLoaderTest, WeightsWhoseTensorsLieOutsideTheirBytesAreRefused) {
  auto weights = *read_weights(checkpoint(), below("first_stage_model."));
  weights.tensors.back().offset = weights.bytes->view().size() - 1;
  EXPECT_EQ(place_weights(weights, at::kFloat, at::kCPU).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace luna::worker
