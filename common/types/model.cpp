#include "common/types/model.h"

#include <array>
#include <utility>

namespace luna {
namespace {

constexpr std::array<std::pair<Slot, std::string_view>, 9> kSlots = {{
    {Slot::kUNet, "unet"},
    {Slot::kVae, "vae"},
    {Slot::kClipL, "clip_l"},
    {Slot::kClipG, "clip_g"},
    {Slot::kT5, "t5"},
    {Slot::kLlm, "llm"},
    {Slot::kVision, "vision"},
    {Slot::kUpscale, "upscale"},
    {Slot::kPreview, "preview"},
}};

constexpr std::array<std::pair<LoraApplication, std::string_view>, 3> kApplications = {{
    {LoraApplication::kAuto, "auto"},
    {LoraApplication::kMerged, "merged"},
    {LoraApplication::kRowWise, "row-wise"},
}};

constexpr std::array<std::pair<Precision, std::string_view>, 9> kPrecisions = {{
    {Precision::kAuto, "auto"},
    {Precision::kF32, "f32"},
    {Precision::kBF16, "bf16"},
    {Precision::kF16, "fp16"},
    {Precision::kF16, "f16"},
    {Precision::kF32, "fp32"},
    {Precision::kF32, "float32"},
    {Precision::kBF16, "bfloat16"},
    {Precision::kF16, "float16"},
}};

}  // namespace

std::string_view slot_name(Slot slot) {
  for (const auto& [value, name] : kSlots) {
    if (value == slot) return name;
  }
  return "unknown";
}

std::optional<Slot> slot_from_name(std::string_view wanted) {
  for (const auto& [value, name] : kSlots) {
    if (name == wanted) return value;
  }
  return std::nullopt;
}

std::string_view tier_name(Tier tier) {
  switch (tier) {
    case Tier::kDevice:
      return "device";
    case Tier::kHost:
      return "host";
    case Tier::kFile:
      return "file";
  }
  return "unknown";
}

std::string_view lora_application_name(LoraApplication application) {
  for (const auto& [value, name] : kApplications) {
    if (value == application) return name;
  }
  return "unknown";
}

std::optional<LoraApplication> lora_application_from_name(std::string_view wanted) {
  for (const auto& [value, name] : kApplications) {
    if (name == wanted) return value;
  }
  return std::nullopt;
}

std::string_view precision_name(Precision precision) {
  for (const auto& [value, name] : kPrecisions) {
    if (value == precision) return name;
  }
  return "unknown";
}

std::optional<Precision> precision_from_name(std::string_view wanted) {
  for (const auto& [value, name] : kPrecisions) {
    if (name == wanted) return value;
  }
  return std::nullopt;
}

}  // namespace luna
