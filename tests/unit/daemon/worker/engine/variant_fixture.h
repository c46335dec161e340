#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/deterministic.h"
#include "tests/unit/daemon/worker/engine/engine_fixture.h"

namespace luna::worker {

/// What ComfyUI answered (tests/parity/variants_make_fixtures.py), as values in a row.
inline std::vector<float> recorded_variant(const std::string& name) {
  static const auto store =
      load_weights(
          {.path = LUNA_SOURCE_DIR "/tests/parity/fixtures/variants.safetensors", .rename = {}})
          .value();
  const at::Tensor* found = store->find(name);
  EXPECT_NE(found, nullptr) << name;
  if (!found) return {};
  const at::Tensor flat = found->flatten().contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

/// An engine with a tiny model of one variant, and the requests that the recorded runs began with.
class VariantTest : public EngineTest {
 protected:
  static constexpr std::int64_t kHeight = 8, kWidth = 6;

  void use(const support::TinySd15Options& options) {
    sdxl_ = options.clip_g_width > 0;
    const std::string path = dir_.file("variant.safetensors");
    support::write_tiny_sd15(path, options);
    models_.slots = {{Slot::kUNet, {path, Precision::kAuto}}};
  }
  void use_sdxl(const std::string& variant, bool inpaint = false) {
    auto options = support::TinySd15Options::sdxl();
    options.unet_variant = variant;
    options.inpaint = inpaint;
    options.with_text = options.with_vae = false;
    use(options);
  }
  void use_sd1(bool inpaint) {
    auto options = tiny_options();
    options.inpaint = inpaint;
    options.with_text = options.with_vae = false;
    use(options);
  }

  static TensorRef made_up(const std::string& name, std::vector<std::int64_t> shape,
                           float scale = 1) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    return tensor_of(std::move(shape), support::uniform_values(name, count, scale));
  }
  /// Over the pixels: all but a frame is repainted.
  static TensorRef mask() {
    std::vector<float> values;
    for (int y = 0; y < 8 * kHeight; ++y)
      for (int x = 0; x < 8 * kWidth; ++x) values.push_back(y >= 16 && x >= 8 && x < 40 ? 1 : 0);
    return tensor_of({1, 8 * kHeight, 8 * kWidth}, values);
  }

  ConditioningEntry words(const std::string& name) const {
    ConditioningEntry entry;
    entry.cross_attn = made_up(name, {1, 77, sdxl_ ? 192 : 64});
    if (sdxl_) entry.pooled = made_up("pooled." + name, {1, 128});
    return entry;
  }
  SampleRequest words_alone() const {
    SampleRequest request;
    request.run.steps = 6;
    SampleRow row;
    row.latent.spec = {DType::kF32, {4, kHeight, kWidth}};
    row.noise.seed = 5;
    row.guidance.cfg = 3;
    row.conditioning = {{"positive", {words("positive")}}, {"negative", {words("negative")}}};
    request.rows.push_back(std::move(row));
    return request;
  }
  SampleRequest with_picture(double denoise, bool masked) const {
    SampleRequest request = words_alone();
    request.run.denoise = denoise;
    request.rows[0].latent = made_up("run.latent", {4, kHeight, kWidth}, 3);
    if (masked) request.rows[0].noise_mask = mask();
    return request;
  }
  /// As InpaintModelConditioning gives it.
  static void add_masked_picture(SampleRow& row) {
    for (auto& [name, entries] : row.conditioning) {
      entries[0].extras["concat_latent_image"] = made_up("run.masked", {1, 4, kHeight, kWidth}, 3);
      entries[0].extras["concat_mask"] = mask();
    }
  }

  std::vector<float> latent(const SampleRequest& request, std::size_t row = 0) {
    const auto reply = run(request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    if (!reply.ok()) return {};
    return floats_of(std::get<SampleReply>(*reply).latents.at(row)).value();
  }

  bool sdxl_ = false;
};

}  // namespace luna::worker
