// What a load is estimated at before a byte is read, against what is resident after it.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "daemon/worker/residency/model_source.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {
namespace {

using support::TinySd15Options;

struct Model {
  std::string name;
  TinySd15Options options;
};

std::vector<Model> models() {
  std::vector<Model> models = {{"default", {}}};
  TinySd15Options narrow;
  narrow.unet_channel_mult = {1, 2};
  narrow.unet_res_blocks = {1, 1};
  narrow.unet_transformer_depth = {1, 1};
  narrow.vae_channels = 8;
  narrow.vae_groups = 8;
  models.push_back({"two levels, a narrow VAE", narrow});
  TinySd15Options half = TinySd15Options::full_depth();
  half.dtype = DType::kF16;
  half.text_dtype = DType::kBF16;
  models.push_back({"full depth, 16 bits in the file", half});
  return models;
}

TEST(LoadEstimate, IsAnUpperBoundOfWhatIsResidentForEveryComponentAndPrecision) {
  at::set_num_threads(1);  // packing small weights is all waiting for one another with more
  const support::TempDir dir;
  const auto source = make_file_source();
  for (const Model& model : models()) {
    const std::string path = dir.file("model.safetensors");
    support::write_tiny_sd15(path, model.options);
    const auto components = source->inspect(path);
    ASSERT_TRUE(components.ok()) << model.name << ": " << components.status().to_string();
    EXPECT_EQ(components->size(), 3u);
    for (const FoundComponent& found : *components) {
      for (const Precision precision : {Precision::kF32, Precision::kF16, Precision::kBF16}) {
        const Slot slot = found.detected.info.slot;
        const ComponentTypes types = component_types(precision, found.file_type, slot, at::kCPU);
        auto weights = source->read(path, found, types.storage, at::kCPU);
        ASSERT_TRUE(weights.ok()) << weights.status().to_string();
        const auto built = source->build(found, *std::move(weights), types.compute, at::kCPU);
        ASSERT_TRUE(built.ok()) << built.status().to_string();
        const std::uint64_t resident = resident_bytes_of(*built);
        const std::uint64_t estimate = found.bytes_as(types, at::kCPU);
        EXPECT_GT(resident, 0u);
        EXPECT_GE(estimate, resident)
            << model.name << ", " << slot_name(slot) << " in " << precision_name(precision);
      }
    }
  }
}

TEST(LoadEstimate, OfAModelOfRealWidthIsCloseToItsSize) {
  FoundComponent found;
  found.floating_elements = 860'000'000;  // SD1.5's UNet, whose widths are multiples of 64 ...
  found.packed_elements = 860'170'000;    // ... but for those of its first and last convolution
  const std::uint64_t bytes = found.bytes_as({at::kFloat, at::kFloat}, at::kCPU);
  EXPECT_LE(bytes, 4ull * 861'000'000);
  EXPECT_EQ(found.bytes_as({at::kHalf, at::kHalf}, at::Device(at::kCUDA, 0)), 2ull * 860'000'000)
      << "nothing is packed there";
}

}  // namespace
}  // namespace luna::worker
