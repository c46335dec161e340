#include "daemon/worker/adapters/adapter_names.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "daemon/worker/models/unet_config.h"
#include "daemon/worker/models/unet_diffusers_names.h"

namespace luna::worker {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kFused = "in_proj";
constexpr std::string_view kTextModel = "text_model.";
constexpr const char* kTextProjection = "text_projection";

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

void AdapterNames::add(const std::string& name_in_file, const Place& place) {
  places_.emplace(name_in_file, place);
}

void AdapterNames::add_unet_layer(const std::string& layer, const std::string& diffusers_path) {
  const Place place{layer};
  add("lora_unet_" + with_underscores(layer), place);
  add("diffusion_model." + layer, place);
  if (diffusers_path.empty()) return;
  add("lora_unet_" + with_underscores(diffusers_path), place);
  add("lycoris_" + with_underscores(diffusers_path), place);
  for (const char* prefix : {"", "unet.", "base_model.model.", "unet.base_model.model."}) {
    add(prefix + diffusers_path, place);
    add(prefix + processor_path(diffusers_path), place);
  }
}

void AdapterNames::add_text_layer(Slot slot, const std::string& path, const Place& place) {
  const bool g = slot == Slot::kClipG;
  add((g ? "lora_te2_" : "lora_te1_") + with_underscores(path), place);
  add((g ? "text_encoder_2." : "text_encoder.") + path, place);
  add((g ? "text_encoders.clip_g.transformer." : "text_encoders.clip_l.transformer.") + path,
      place);
  if (!g) add("lora_te_" + with_underscores(path), place);
  if (path.starts_with(kTextModel)) add_text_layer(slot, path.substr(kTextModel.size()), place);
}

Result<AdapterNames> AdapterNames::of(Slot slot, const TensorDirectory& component) {
  AdapterNames names;
  UNetConfig config;
  if (slot == Slot::kUNet) {
    LUNA_ASSIGN_OR_RETURN(config, UNetConfig::detect(component));
  }
  if (slot != Slot::kUNet && component.has(kTextProjection)) {
    names.add_text_layer(slot, kTextProjection, {.layer = kTextProjection, .transposed = true});
  }
  const UNetLayerNames unet_names(config);
  for (const auto& [name, spec] : component.tensors) {
    if (!name.ends_with(kWeight)) continue;
    const std::string layer = name.substr(0, name.size() - kWeight.size());
    if (slot == Slot::kUNet) {
      names.add_unet_layer(layer, unet_names.to_diffusers(layer));
    } else if (layer.ends_with(kFused)) {
      const std::string attention = layer.substr(0, layer.size() - kFused.size());
      int part = 0;
      for (const char* projection : {"q_proj", "k_proj", "v_proj"})
        names.add_text_layer(slot, attention + projection, {layer, part++, 3});
    } else if (slot == Slot::kClipL || slot == Slot::kClipG) {
      names.add_text_layer(slot, layer, {layer});
    }
  }
  return names;
}

const AdapterNames::Place* AdapterNames::find(const std::string& name_in_file) const {
  const auto found = places_.find(name_in_file);
  return found == places_.end() ? nullptr : &found->second;
}

bool AdapterNames::is_meant_for(Slot slot, const std::string& name_in_file) {
  const auto begins = [&](const auto& prefixes) {
    return std::ranges::any_of(
        prefixes, [&](std::string_view prefix) { return name_in_file.starts_with(prefix); });
  };
  constexpr std::array<std::string_view, 5> kText = {"lora_te", "text_encoder", "clip_", "t5xxl",
                                                     "lora_prior_te"};
  constexpr std::array<std::string_view, 3> kSecond = {"lora_te2_", "text_encoder_2.",
                                                       "text_encoders.clip_g."};
  if (slot == Slot::kUNet) return !begins(kText);
  return begins(kText) && begins(kSecond) == (slot == Slot::kClipG);
}

}  // namespace luna::worker
