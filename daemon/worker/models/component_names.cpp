#include "daemon/worker/models/component_names.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "daemon/worker/models/autoencoder_names.h"
#include "daemon/worker/models/model_shapes.h"

namespace luna::worker {
namespace {

constexpr std::string_view kUNetMarker = "input_blocks.0.0.weight";
constexpr std::array<std::string_view, 2> kUNetPrefixes = {"model.diffusion_model.", ""};
constexpr std::array<std::string_view, 4> kUNetParts = {"time_embed.", "label_emb.", "out.",
                                                        "middle_block."};

constexpr std::string_view kClipMarker = "encoder.layers.0.mlp.fc1.weight";
constexpr std::array<std::string_view, 4> kClipPrefixes = {
    "cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.", "text_model.",
    "clip_l.transformer.text_model."};

constexpr std::string_view kVaeMarker = "decoder.conv_in.weight";
constexpr std::string_view kDiffusersVaeMarker = "decoder.up_blocks.0.resnets.0.norm1.weight";
constexpr std::array<std::string_view, 3> kVaePrefixes = {"first_stage_model.", "vae.", ""};

/// The rest of `name` after `prefix`, "" where it does not begin so.
std::string_view after(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : std::string_view();
}

std::string joined(std::string_view prefix, std::string_view name) {
  return std::string(prefix) + std::string(name);
}

template <class Prefixes>
std::optional<std::string> find_prefix(const TensorDirectory& file, const Prefixes& prefixes,
                                       std::string_view marker) {
  for (const std::string_view prefix : prefixes)
    if (file.has(joined(prefix, marker))) return std::string(prefix);
  return std::nullopt;
}

bool belongs_to_unet(std::string_view name) {
  return name.starts_with("input_blocks.") || name.starts_with("output_blocks.") ||
         std::any_of(kUNetParts.begin(), kUNetParts.end(),
                     [&](std::string_view part) { return name.starts_with(part); });
}

bool belongs_to_clip(std::string_view name) {
  return name == "embeddings.token_embedding.weight" ||
         name == "embeddings.position_embedding.weight" || name.starts_with("encoder.layers.") ||
         name.starts_with("final_layer_norm.");
}

bool belongs_to_vae(std::string_view name) {
  return name.starts_with("encoder.") || name.starts_with("decoder.") ||
         name.starts_with("quant_conv.") || name.starts_with("post_quant_conv.");
}

}  // namespace

std::optional<Rename> find_ldm_unet(const TensorDirectory& file) {
  const auto prefix = find_prefix(file, kUNetPrefixes, kUNetMarker);
  if (!prefix) return std::nullopt;
  return [prefix = *prefix](const std::string& name) {
    const std::string_view rest = after(name, prefix);
    return belongs_to_unet(rest) ? std::string(rest) : std::string();
  };
}

std::optional<Rename> find_clip_l(const TensorDirectory& file) {
  const auto prefix = find_prefix(file, kClipPrefixes, kClipMarker);
  if (!prefix) return std::nullopt;
  return [prefix = *prefix](const std::string& name) {
    const std::string_view rest = after(name, prefix);
    return belongs_to_clip(rest) ? joined("text_model.", rest) : std::string();
  };
}

std::optional<Rename> find_autoencoder(const TensorDirectory& file) {
  if (const auto prefix = find_prefix(file, kVaePrefixes, kDiffusersVaeMarker)) {
    const auto levels = static_cast<std::size_t>(
        count_indexed(file, *prefix + "decoder.up_blocks.", ".resnets.0.norm1.weight"));
    return [prefix = *prefix, levels](const std::string& name) {
      return autoencoder_name_from_diffusers(std::string(after(name, prefix)), levels);
    };
  }
  const auto prefix = find_prefix(file, kVaePrefixes, kVaeMarker);
  if (!prefix) return std::nullopt;
  return [prefix = *prefix](const std::string& name) {
    const std::string_view rest = after(name, prefix);
    return belongs_to_vae(rest) ? std::string(rest) : std::string();
  };
}

TensorDirectory renamed(const TensorDirectory& file, const Rename& rename) {
  TensorDirectory component;
  component.metadata = file.metadata;
  for (const auto& [name, spec] : file.tensors)
    if (std::string own = rename(name); !own.empty())
      component.tensors.emplace(std::move(own), spec);
  return component;
}

std::string served_markers() {
  return joined(kUNetPrefixes[0], kUNetMarker) + ", " + joined(kClipPrefixes[0], kClipMarker) +
         ", " + joined(kVaePrefixes[0], kVaeMarker) + " (or the same without their prefixes), " +
         std::string(kDiffusersVaeMarker);
}

}  // namespace luna::worker
