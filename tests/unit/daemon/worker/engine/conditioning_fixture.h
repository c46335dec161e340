#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/unit/daemon/worker/engine/variant_fixture.h"

namespace luna::worker {

/// The cases of tests/parity/conditioning_make_fixtures.py, and what ComfyUI answered.
inline const nlohmann::ordered_json& conditioning_cases() {
  static const auto cases = [] {
    std::ifstream in(LUNA_SOURCE_DIR "/tests/parity/fixtures/conditioning.json");
    return nlohmann::ordered_json::parse(in);
  }();
  return cases;
}

inline std::vector<std::string> conditioning_case_names() {
  std::vector<std::string> names;
  for (const auto& [name, value] : conditioning_cases().items()) names.push_back(name);
  return names;
}

/// The answer's rows.
inline std::vector<std::vector<float>> recorded_conditioning(const std::string& name) {
  static const auto store =
      load_weights(
          {.path = LUNA_SOURCE_DIR "/tests/parity/fixtures/conditioning.safetensors", .rename = {}})
          .value();
  const at::Tensor* found = store->find(name);
  EXPECT_NE(found, nullptr) << name;
  std::vector<std::vector<float>> rows;
  for (std::int64_t row = 0; found && row < found->size(0); ++row) {
    const at::Tensor flat = (*found)[row].flatten().contiguous();
    rows.emplace_back(flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
  }
  return rows;
}

/// An engine with the tiny SD1.5 of the recorded runs, and their requests.
class ConditioningTest : public VariantTest {
 protected:
  void use_model_of(const nlohmann::ordered_json& described) {
    use_sd1(described["inpaint"].get<bool>());
  }

  static TensorRef mask_values(const nlohmann::ordered_json& mask) {
    const auto shape = mask["shape"].get<std::vector<std::int64_t>>();
    const auto box = mask["box"].get<std::vector<std::int64_t>>();
    const auto made =
        support::uniform_values("mask", static_cast<std::size_t>(shape[0] * shape[1] * shape[2]));
    std::vector<float> values;
    for (std::int64_t i = 0; i < shape[0] * shape[1] * shape[2]; ++i) {
      const std::int64_t y = i / shape[2] % shape[1], x = i % shape[2];
      const bool inside = y >= box[0] && y < box[1] && x >= box[2] && x < box[3];
      values.push_back(inside ? (made[static_cast<std::size_t>(i)] + 1) * 0.45F + 0.1F : 0);
    }
    return tensor_of(shape, values);
  }

  static ConditioningEntry entry_of(const nlohmann::ordered_json& described) {
    ConditioningEntry entry;
    entry.cross_attn = made_up("context." + described["words"].get<std::string>(),
                               {1, described.value("tokens", 77), 64});
    entry.strength = described.value("strength", 1.0);
    for (const auto& [key, fractional] : {std::pair{"area", false}, std::pair{"percent", true}}) {
      if (!described.contains(key)) continue;
      const auto area = described[key].get<std::vector<double>>();
      entry.area = ConditioningArea{fractional, area[0], area[1], area[2], area[3]};
    }
    if (described.contains("mask")) entry.mask = mask_values(described["mask"]);
    entry.mask_strength = described.value("mask_strength", 1.0);
    entry.set_area_to_bounds = described.value("bounds", false);
    entry.start_percent = described.value("start", 0.0);
    entry.end_percent = described.value("end", 1.0);
    entry.is_default = described.value("default", false);
    return entry;
  }

  static SampleRequest request_of(const nlohmann::ordered_json& described) {
    SampleRequest request;
    request.run.sampler = described["sampler"].get<std::string>();
    request.run.scheduler = described["scheduler"].get<std::string>();
    request.run.steps = described["steps"].get<int>();
    request.run.denoise = described["denoise"].get<double>();
    if (!described["start_step"].is_null()) request.run.start_step = described["start_step"];
    if (!described["end_step"].is_null()) request.run.end_step = described["end_step"];
    request.run.force_full_denoise = described["force_full_denoise"].get<bool>();
    const auto batch = described["batch"].get<std::uint32_t>();
    const auto height = described["height"].get<std::int64_t>();
    const auto width = described["width"].get<std::int64_t>();
    for (std::uint32_t i = 0; i < batch; ++i) {
      SampleRow row;
      row.latent.spec = {DType::kF32, {4, height, width}};
      if (described["picture"].get<bool>()) row.latent = made_up("picture", {4, height, width}, 3);
      if (described["noise_mask"].get<bool>())
        row.noise_mask = mask_values({{"shape", {1, 96, 80}}, {"box", {24, 80, 16, 64}}});
      row.noise = {described["seed"].get<std::uint64_t>(), batch, i, true, {}};
      row.guidance.cfg = described["cfg"].get<double>();
      row.guidance.options = described["guidance"].get<std::map<std::string, double>>();
      for (const std::string sign : {"positive", "negative"})
        for (const auto& entry : described[sign]) row.conditioning[sign].push_back(entry_of(entry));
      request.rows.push_back(std::move(row));
    }
    return request;
  }
};

}  // namespace luna::worker
