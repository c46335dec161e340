#include "tests/support/tiny_sd15.h"

#include <filesystem>
#include <set>

#include <gmock/gmock.h>

#include "tests/support/temp_dir.h"

namespace luna::support {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::set<std::string> names_of(const std::vector<NamedTensor>& tensors) {
  std::set<std::string> names;
  for (const NamedTensor& tensor : tensors) {
    EXPECT_TRUE(names.insert(tensor.name).second) << tensor.name << " twice";
    EXPECT_TRUE(tensor.spec.validate().ok()) << tensor.name;
  }
  return names;
}

TEST(TinySd15, FullDepthHasAsManyTensorsAsTheRealCheckpoint) {
  const TinySd15Options options = TinySd15Options::full_depth();
  EXPECT_EQ(names_of(tiny_unet_tensors(options)).size(), 686u);
  EXPECT_EQ(names_of(tiny_text_tensors(options)).size(), 196u);
  EXPECT_EQ(names_of(tiny_vae_tensors(options)).size(), 248u);
}

TEST(TinySd15, UsesTheNamesOfTheRealCheckpoint) {
  const auto unet = names_of(tiny_unet_tensors(TinySd15Options::full_depth()));
  for (const char* name :
       {"input_blocks.3.0.op.weight", "input_blocks.4.0.skip_connection.weight",
        "input_blocks.11.0.out_layers.3.bias", "output_blocks.2.1.conv.weight",
        "output_blocks.5.2.conv.weight",
        "output_blocks.11.1.transformer_blocks.0.attn2.to_out.0.bias", "out.2.weight"})
    EXPECT_TRUE(unet.contains(name)) << name;
  EXPECT_FALSE(unet.contains("input_blocks.11.1.norm.weight"));
  const auto vae = names_of(tiny_vae_tensors(TinySd15Options::full_depth()));
  for (const char* name :
       {"decoder.up.3.block.2.conv2.weight", "decoder.up.1.block.0.nin_shortcut.weight",
        "encoder.down.2.downsample.conv.bias", "encoder.mid.attn_1.proj_out.weight"})
    EXPECT_TRUE(vae.contains(name)) << name;
}

TEST(TinySd15, WritesOneFileWithEveryComponentUnderItsPrefix) {
  const TempDir dir;
  write_tiny_sd15(dir.file("tiny.safetensors"));
  const std::string bytes = read_file(dir.file("tiny.safetensors"));
  const std::string header = bytes.substr(0, 200000);
  EXPECT_THAT(header, HasSubstr("\"model.diffusion_model.input_blocks.0.0.weight\""));
  EXPECT_THAT(header,
              HasSubstr("\"cond_stage_model.transformer.text_model.final_layer_norm.bias\""));
  EXPECT_THAT(header, HasSubstr("\"first_stage_model.post_quant_conv.weight\""));
  EXPECT_THAT(header, Not(HasSubstr("__metadata__")));
}

TEST(TinySd15, TheSameComponentHasTheSameBytesInEveryFile) {
  const TempDir dir;
  TinySd15Options vae_only;
  vae_only.with_unet = vae_only.with_text = false;
  write_tiny_sd15(dir.file("a"), vae_only);
  vae_only.bare_names = true;
  write_tiny_sd15(dir.file("b"), vae_only);
  TinySd15Options other = vae_only;
  other.vae_salt = "other";
  write_tiny_sd15(dir.file("c"), other);
  const auto tail = [&](const char* name) {
    const std::string bytes = read_file(dir.file(name));
    return bytes.substr(bytes.size() - 100000);
  };
  EXPECT_EQ(tail("a"), tail("b"));
  EXPECT_NE(tail("b"), tail("c"));
}

TEST(TinySd15, NotesWhatShapesCannotTell) {
  const TempDir dir;
  TinySd15Options options;
  options.with_unet = false;
  options.text_heads = 4;
  options.vae_groups = 8;
  options.text_dtype = DType::kF16;
  write_tiny_sd15(dir.file("f"), options);
  const std::string header = read_file(dir.file("f")).substr(0, 5000);
  EXPECT_THAT(header, HasSubstr(R"("luna.clip_l.heads":"4")"));
  EXPECT_THAT(header, HasSubstr(R"("luna.vae.groups":"8")"));
  EXPECT_THAT(header, HasSubstr(R"("dtype":"F16")"));
}

}  // namespace
}  // namespace luna::support
