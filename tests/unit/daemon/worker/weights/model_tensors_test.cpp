#include "daemon/worker/weights/model_tensors.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/several_files.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelTensorsTest : public ::testing::Test {
 protected:
  void write(const std::string& name, std::vector<std::pair<std::string, float>> tensors) {
    support::SafetensorsWriter writer;
    writer.set_metadata("of", name);
    for (const auto& [tensor, value] : tensors) writer.add(tensor, {1}, {value});
    std::filesystem::create_directories(std::filesystem::path(dir_.file(name)).parent_path());
    writer.write(dir_.file(name));
  }
  void write_shards() {
    write("x-1.safetensors", {{"a", 1.0F}, {"b", -1.0F}, {"stray", 0.0F}});
    write("x-2.safetensors", {{"b", 2.0F}});
    index(R"({"a": "x-1.safetensors", "b": "x-2.safetensors"})");
  }
  std::string index(const std::string& map) {
    return dir_.write("x.safetensors.index.json", R"({"weight_map": )" + map + "}");
  }
  Status refusal(const std::string& path) {
    const auto opened = ModelTensors::open(path);
    EXPECT_FALSE(opened.ok());
    return opened.status();
  }
  static std::vector<std::string> names(const ModelTensors& model) {
    std::vector<std::string> names;
    for (const ModelTensors::Tensor& tensor : model.tensors()) names.push_back(tensor.name);
    return names;
  }

  support::TempDir dir_;
};

TEST_F(ModelTensorsTest, TheIndexDecidesWhatOfEachShardCounts) {
  write_shards();
  const std::string path = dir_.file("x.safetensors.index.json");
  const auto model = ModelTensors::open(path);
  ASSERT_TRUE(model.ok()) << model.status().to_string();
  EXPECT_THAT(names(*model), ElementsAre("a", "b"));
  const auto weights = load_weights({path, nullptr, at::kFloat, at::kCPU});
  ASSERT_TRUE(weights.ok()) << weights.status().to_string();
  EXPECT_EQ((*weights)->find("b")->item<float>(), 2.0F);
}

TEST_F(ModelTensorsTest, ATensorThatItsShardLacksIsNamedWithIndexAndShard) {
  write_shards();
  index(R"({"a": "x-1.safetensors", "c": "x-2.safetensors", "d": "x-2.safetensors"})");
  const Status status = refusal(dir_.file("x.safetensors.index.json"));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("x.safetensors.index.json"), HasSubstr("'c'"),
                                      HasSubstr("and 1 more"), HasSubstr("x-2.safetensors")));
}

TEST_F(ModelTensorsTest, AMissingOrDamagedShardIsNamedWithItsIndex) {
  write_shards();
  std::filesystem::remove(dir_.file("x-2.safetensors"));
  EXPECT_THAT(refusal(dir_.file("x.safetensors.index.json")).message(),
              AllOf(HasSubstr("x.safetensors.index.json"), HasSubstr("x-2.safetensors")));
  dir_.write("x-2.safetensors", "no safetensors");
  EXPECT_THAT(refusal(dir_.file("x.safetensors.index.json")).message(),
              AllOf(HasSubstr("x.safetensors.index.json"), HasSubstr("not a safetensors file")));
}

TEST_F(ModelTensorsTest, AShardThatChangesWhileItIsOpenIsNoticed) {
  write_shards();
  const auto model = ModelTensors::open(dir_.file("x.safetensors.index.json"));
  ASSERT_TRUE(model.ok());
  EXPECT_TRUE(model->check_unchanged().ok());
  std::ofstream(dir_.file("x-2.safetensors"), std::ios::app) << "more";
  EXPECT_EQ(model->check_unchanged().code(), StatusCode::kDataLoss);
}

TEST_F(ModelTensorsTest, AFoldersTensorsStandBelowTheirSubfolders) {
  dir_.write("sd/model_index.json", "{}");
  write("sd/unet/diffusion_pytorch_model.safetensors", {{"conv_in.weight", 1.0F}});
  write("sd/vae/diffusion_pytorch_model.safetensors", {{"conv_in.weight", 2.0F}});
  dir_.write("sd/vae/config.json", R"({"_class_name": "AutoencoderKL", "norm_num_groups": 16})");
  const auto model = ModelTensors::open(dir_.file("sd"));
  ASSERT_TRUE(model.ok()) << model.status().to_string();
  EXPECT_THAT(names(*model), ElementsAre("unet/conv_in.weight", "vae/conv_in.weight"));
  EXPECT_EQ(model->metadata().at("luna.vae.groups"), "16");
}

TEST_F(ModelTensorsTest, AConfigurationThatCannotBeServedIsNamedWithItsPath) {
  dir_.write("sd/model_index.json", "{}");
  write("sd/vae/diffusion_pytorch_model.safetensors", {{"conv_in.weight", 2.0F}});
  dir_.write("sd/vae/config.json", "{");
  EXPECT_THAT(refusal(dir_.file("sd")).message(),
              AllOf(HasSubstr("sd/vae/config.json"), HasSubstr("no JSON")));
  dir_.write("sd/vae/config.json", "{}");
  dir_.write("sd/scheduler/scheduler_config.json", R"({"prediction_type": "v_prediction"})");
  EXPECT_THAT(refusal(dir_.file("sd")).to_string(),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("scheduler_config.json"),
                    HasSubstr("v_prediction")));
}

TEST_F(ModelTensorsTest, AMatrixAndAConvolutionOfOneByOneAreOneContent) {
  const auto hash = [&](const char* name, std::vector<std::int64_t> shape) {
    support::SafetensorsWriter writer;
    writer.add("w", std::move(shape), {1, 2, 3, 4, 5, 6});
    writer.write(dir_.file(name));
    return load_weights({dir_.file(name), nullptr, at::kFloat, at::kCPU}).value()->content_hash();
  };
  EXPECT_EQ(hash("matrix", {2, 3}), hash("convolution", {2, 3, 1, 1}));
  EXPECT_NE(hash("matrix", {2, 3}), hash("other", {3, 2}));
  EXPECT_NE(hash("matrix", {2, 3}), hash("kernel", {2, 1, 3, 1}));
}

}  // namespace
}  // namespace luna::worker
