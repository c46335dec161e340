#include "common/types/model_needs.h"

#include <algorithm>

#include <fmt/format.h>

namespace luna {
namespace {

std::string folders_in_words(Slot slot) {
  const std::vector<std::string_view> folders = model_folders(slot);
  std::string text;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    if (i > 0) text += i + 1 == folders.size() ? " or " : ", ";
    text += fmt::format("{}/", folders[i]);
  }
  return text;
}

bool is_text_encoder(Slot slot) {
  return slot == Slot::kClipL || slot == Slot::kClipG || slot == Slot::kT5 || slot == Slot::kLlm;
}

}  // namespace

std::vector<std::string_view> model_folders(Slot slot) {
  switch (slot) {
    case Slot::kUNet:
      return {"diffusion_models", "unet", "checkpoints", "diffusers"};
    case Slot::kVae:
      return {"vae", "checkpoints", "diffusers"};
    case Slot::kClipL:
    case Slot::kClipG:
    case Slot::kT5:
    case Slot::kLlm:
      return {"text_encoders", "clip", "checkpoints", "diffusers"};
    case Slot::kVision:
      return {"clip_vision", "checkpoints"};
    case Slot::kUpscale:
      return {"upscale_models"};
    case Slot::kPreview:
      return {"vae_approx"};
  }
  return {};
}

std::vector<Slot> slots_of_family(std::string_view family) {
  if (family == "sdxl") return {Slot::kUNet, Slot::kClipL, Slot::kClipG, Slot::kVae};
  if (family == "sdxl_refiner") return {Slot::kUNet, Slot::kClipG, Slot::kVae};
  return {Slot::kUNet, Slot::kClipL, Slot::kVae};
}

std::vector<Slot> empty_slots(const std::vector<ComponentInfo>& components) {
  const auto unet = std::ranges::find(components, Slot::kUNet, &ComponentInfo::slot);
  const bool any_text = std::ranges::any_of(
      components, [](const ComponentInfo& component) { return is_text_encoder(component.slot); });
  std::vector<Slot> empty;
  for (const Slot slot : slots_of_family(unet == components.end() ? "" : unet->family)) {
    if (std::ranges::find(components, slot, &ComponentInfo::slot) != components.end()) continue;
    if (unet == components.end() && is_text_encoder(slot) && any_text) continue;
    empty.push_back(slot);
  }
  return empty;
}

std::string slots_in_words(const std::vector<Slot>& slots) {
  std::string text;
  for (const Slot slot : slots) {
    text += fmt::format("{}{} (a file below {})", text.empty() ? "" : ", ", slot_name(slot),
                        folders_in_words(slot));
  }
  return text;
}

}  // namespace luna
