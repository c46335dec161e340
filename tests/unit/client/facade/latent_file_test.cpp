#include <gtest/gtest.h>

#include "client/include/luna/client/latents.h"
#include "tests/support/temp_dir.h"

namespace luna::client {
namespace {

TEST(LatentFile, IsASafetensorsFileWithOneTensor) {
  const TensorRef latents = tensor_of({1, 2, 1, 2}, std::vector<float>{1.0f, -2.0f, 0.5f, 0.0f});
  const auto file = encode_latents(latents);
  ASSERT_TRUE(file.ok());
  const std::string header =
      R"({"latent_tensor":{"data_offsets":[0,16],"dtype":"F32","shape":[1,2,1,2]}})";
  const std::size_t padded = (header.size() + 7) / 8 * 8;
  ASSERT_EQ(file->size(), 8 + padded + 16);
  EXPECT_EQ(static_cast<std::size_t>(static_cast<unsigned char>((*file)[0])), padded);
  EXPECT_EQ(file->substr(1, 7), std::string(7, '\0'));
  EXPECT_EQ(file->substr(8, header.size()), header);
  EXPECT_EQ(file->substr(8 + header.size(), padded - header.size()),
            std::string(padded - header.size(), ' '));
  EXPECT_EQ(file->substr(8 + padded, 8), std::string("\0\0\x80\x3f\0\0\0\xc0", 8));
}

TEST(LatentFile, IsWrittenWhole) {
  const support::TempDir dir;
  const TensorRef latents = tensor_of({1, 1, 1, 1}, std::vector<float>{1.0f});
  ASSERT_TRUE(save_latents(dir.file("l.safetensors"), latents).ok());
  EXPECT_EQ(support::read_file(dir.file("l.safetensors")), *encode_latents(latents));
  EXPECT_EQ(save_latents(dir.file("none/l"), latents).code(), StatusCode::kNotFound);
}

TEST(LatentFile, OtherTensorsAreRefused) {
  EXPECT_FALSE(encode_latents(tensor_of({4}, std::vector<float>(4))).ok());
  TensorRef resident;
  resident.spec.shape = {1, 1, 1, 1};
  resident.place = ResidentTensor{"t1"};
  EXPECT_EQ(encode_latents(resident).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace luna::client
