#include "daemon/worker/weights/embedding_file.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EmbeddingFileTest : public ::testing::Test {
 protected:
  /// A file of tensors [rows, 2]; tensor i is filled with i + 1.
  std::string with(const std::vector<std::string>& names, std::int64_t rows = 1) const {
    support::SafetensorsWriter writer;
    float value = 0;
    for (const std::string& name : names)
      writer.add(name, {rows, 2}, std::vector<float>(static_cast<std::size_t>(rows * 2), ++value));
    writer.write(dir.file("e.safetensors"));
    return dir.file("e.safetensors");
  }
  support::TempDir dir;
};

TEST_F(EmbeddingFileTest, TakesTheEncodersOwnTensorFirst) {
  const std::string path = with({"clip_g", "emb_params", "clip_l"});
  EXPECT_THAT(read_embedding(path, 2).value(), ElementsAre(ElementsAre(3, 3)));
  EXPECT_THAT(read_embedding(path, 2, "clip_g").value(), ElementsAre(ElementsAre(1, 1)));
}

TEST_F(EmbeddingFileTest, PutsBundledTensorsOneBelowTheOther) {
  EXPECT_THAT(
      read_embedding(
          with({"x", "bundle_emb.a.string_to_param.*", "bundle_emb.b.string_to_param.*"}), 2)
          .value(),
      ElementsAre(ElementsAre(2, 2), ElementsAre(3, 3)));
  EXPECT_THAT(read_embedding(with({"x", "bundle_emb.a.clip_l", "bundle_emb.a.clip_g"}), 2).value(),
              ElementsAre(ElementsAre(2, 2)));
}

TEST_F(EmbeddingFileTest, ElseTakesEmbParamsOrTheFirstTensor) {
  EXPECT_THAT(read_embedding(with({"x", "emb_params"}), 2).value(), ElementsAre(ElementsAre(2, 2)));
  EXPECT_THAT(read_embedding(with({"z", "a"}, 2), 2).value(),
              ElementsAre(ElementsAre(1, 1), ElementsAre(1, 1)));
}

TEST_F(EmbeddingFileTest, OneAxisIsOneRowAndHalvesBecomeFloats) {
  support::SafetensorsWriter writer;
  writer.add("v", TensorSpec{DType::kF16, {3}},
             [](std::span<float> out) { std::fill(out.begin(), out.end(), 0.5f); });
  writer.write(dir.file("one"));
  EXPECT_THAT(read_embedding(dir.file("one"), 3).value(),
              ElementsAre(ElementsAre(0.5f, 0.5f, 0.5f)));
}

TEST_F(EmbeddingFileTest, AnotherWidthIsRefusedWithBothNumbers) {
  const auto result = read_embedding(with({"emb_params"}, 2), 768);
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(result.status().message(), HasSubstr("f32[2,2]; expected rows of 768"));
}

TEST_F(EmbeddingFileTest, TooManyRowsNoRowsAndNoTensorsAreRefused) {
  EXPECT_EQ(read_embedding(with({"emb_params"}, 5000), 2).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(read_embedding(with({"emb_params"}, 0), 2).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(
      read_embedding(with({"bundle_emb.a.clip_l", "bundle_emb.b.clip_l"}, 4000), 2).status().code(),
      StatusCode::kInvalidArgument);
  EXPECT_EQ(read_embedding(with({}), 2).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(EmbeddingFileTest, PicklesAreNeverOpened) {
  for (const char* name : {"a.pt", "a.bin", "A.PT", "absent.pth"}) {
    const auto result = read_embedding(dir.file(name), 2);
    EXPECT_EQ(result.status().code(), StatusCode::kUnimplemented) << name;
    EXPECT_THAT(result.status().message(), HasSubstr("pickle"));
  }
  EXPECT_EQ(read_embedding(dir.file("absent.safetensors"), 2).status().code(),
            StatusCode::kNotFound);
}

}  // namespace
}  // namespace luna::worker
