#include "daemon/worker/adapters/adapter_names.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "daemon/worker/models/unet_config.h"
#include "daemon/worker/models/unet_diffusers_names.h"

namespace luna::worker {
namespace {

constexpr std::string_view kWeight = ".weight";

std::string with_underscores(std::string text) {
  std::ranges::replace(text, '.', '_');
  return text;
}

/// "attn1.processor.to_out" for "attn1.to_out.0": the paths of diffusers' former attention
/// processors.
std::string processor_path(std::string path) {
  for (std::size_t at = 0; (at = path.find(".to_", at)) != std::string::npos;) {
    path.replace(at, 4, ".processor.to_");
    at += 14;
  }
  if (path.ends_with(".to_out.0")) path.resize(path.size() - 2);
  return path;
}

}  // namespace

void AdapterNames::add(const std::string& name_in_file, const std::string& layer) {
  layers_.emplace(name_in_file, layer);
}

Result<AdapterNames> AdapterNames::of(Slot slot, const TensorDirectory& component) {
  AdapterNames names;
  UNetConfig config;
  if (slot == Slot::kUNet) {
    LUNA_ASSIGN_OR_RETURN(config, UNetConfig::detect(component));
  }
  for (const auto& [name, spec] : component.tensors) {
    if (!name.ends_with(kWeight)) continue;
    const std::string layer = name.substr(0, name.size() - kWeight.size());
    if (slot == Slot::kUNet) {
      names.add("lora_unet_" + with_underscores(layer), layer);
      names.add("diffusion_model." + layer, layer);
      const std::string path = diffusers_layer_name(config, layer);
      if (path.empty()) continue;
      names.add("lora_unet_" + with_underscores(path), layer);
      names.add("lycoris_" + with_underscores(path), layer);
      for (const char* prefix : {"", "unet.", "base_model.model.", "unet.base_model.model."}) {
        names.add(prefix + path, layer);
        names.add(prefix + processor_path(path), layer);
      }
    } else if (slot == Slot::kClipL) {
      for (const char* prefix : {"lora_te_", "lora_te1_"})
        names.add(prefix + with_underscores(layer), layer);
      names.add("text_encoder." + layer, layer);
      names.add("text_encoders.clip_l.transformer." + layer, layer);
    }
  }
  return names;
}

const std::string* AdapterNames::layer(const std::string& name_in_file) const {
  const auto found = layers_.find(name_in_file);
  return found == layers_.end() ? nullptr : &found->second;
}

bool AdapterNames::is_meant_for(Slot slot, const std::string& name_in_file) {
  constexpr std::array<std::string_view, 5> kText = {"lora_te", "text_encoder", "clip_", "t5xxl",
                                                     "lora_prior_te"};
  const bool text = std::ranges::any_of(
      kText, [&](std::string_view prefix) { return name_in_file.starts_with(prefix); });
  return text == (slot != Slot::kUNet);
}

}  // namespace luna::worker
