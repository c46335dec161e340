// The weights below all overlays, by their hash.
#include <future>
#include <random>

#include <gtest/gtest.h>

#include "common/hash/sha256.h"
#include "daemon/worker/ops/cpu_packing.h"
#include "daemon/worker/residency/residency.h"
#include "tests/support/deterministic.h"
#include "tests/support/repetitions.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {
namespace {

/// Of everything that runs in plain form; oneDNN's own forms are copies that are never written.
std::string hash_of(const ResidentModel& model) {
  Sha256 hash;
  for (const auto& [name, tensor] : running_weights_of(model.model)) {
    if (ops::is_packed(tensor)) continue;
    const at::Tensor plain = tensor.contiguous();
    hash.update(
        std::as_bytes(std::span(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes())));
  }
  return hash.finish();
}

TEST(BaseWeights, HaveTheSameHashAfterAnyNumberOfSwitchesAndSoHasASetThatComesAgain) {
  support::TempDir dir;
  support::write_tiny_sd15(dir.file("tiny.safetensors"), {});
  support::SafetensorsWriter writer;
  const std::string layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_v";
  writer.add(layer + ".lora_up.weight", {64, 2}, support::uniform_values("up", 128));
  writer.add(layer + ".lora_down.weight", {2, 64}, support::uniform_values("down", 128));
  writer.write(dir.file("lora.safetensors"));

  Residency residency({}, make_file_source());
  const auto get = [&](std::optional<double> strength) {
    std::promise<Result<ModelHandle>> promise;
    std::vector<AdapterUse> uses;
    if (strength) uses.push_back({dir.file("lora.safetensors"), *strength, {}});
    residency.acquire(Slot::kUNet, {dir.file("tiny.safetensors")}, uses,
                      [&](Result<ModelHandle> handle) { promise.set_value(std::move(handle)); });
    return promise.get_future().get().value();
  };
  const std::string pristine = hash_of(*get({})), first = hash_of(*get(0.8));
  EXPECT_NE(first, pristine);
  std::mt19937 random(5);
  for (int i = 0; i < support::repetitions(200, 10'000); ++i) get(0.001 * (1 + random() % 2000));
  EXPECT_EQ(hash_of(*get({})), pristine);
  EXPECT_EQ(hash_of(*get(0.8)), first);
}

}  // namespace
}  // namespace luna::worker
