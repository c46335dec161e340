#include "daemon/worker/models/component_names.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "daemon/worker/models/autoencoder_names.h"
#include "daemon/worker/models/model_shapes.h"
#include "daemon/worker/models/unet_variant.h"

namespace luna::worker {
namespace {

constexpr std::string_view kUNetMarker = "input_blocks.0.0.weight";
constexpr std::array<std::string_view, 2> kUNetPrefixes = {"model.diffusion_model.", ""};
constexpr std::array<std::string_view, 4> kUNetParts = {"time_embed.", "label_emb.", "out.",
                                                        "middle_block."};

constexpr std::string_view kClipMarker = "encoder.layers.0.mlp.fc1.weight";
constexpr std::array<std::string_view, 5> kClipPrefixes = {
    "cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.", "text_model.",
    "clip_l.transformer.text_model.", "conditioner.embedders.0.transformer.text_model."};

constexpr std::string_view kOpenClipMarker = "ln_final.weight";
constexpr std::array<std::string_view, 2> kOpenClipPrefixes = {"conditioner.embedders.1.model.",
                                                               "conditioner.embedders.0.model."};
constexpr std::string_view kClipGMarker = "text_model.encoder.layers.30.mlp.fc1.weight";
constexpr std::array<std::string_view, 2> kClipGPrefixes = {"clip_g.transformer.", ""};
constexpr std::string_view kResBlocks = "transformer.resblocks.";

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

/// open_clip's name of a tensor of the text model in transformers' names, but for the projection of
/// query, key and value, which stays one ("self_attn.in_proj"), and the projection of the pooled
/// vector ("text_projection", a matrix to multiply by).
std::string from_open_clip(std::string_view name) {
  using Names = std::pair<std::string_view, std::string_view>;
  static constexpr std::array<Names, 5> kWhole = {
      {{"token_embedding.weight", "text_model.embeddings.token_embedding.weight"},
       {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
       {"ln_final.weight", "text_model.final_layer_norm.weight"},
       {"ln_final.bias", "text_model.final_layer_norm.bias"},
       {"text_projection", "text_projection"}}};
  static constexpr std::array<Names, 6> kParts = {{{"ln_1.", "layer_norm1."},
                                                   {"ln_2.", "layer_norm2."},
                                                   {"attn.in_proj_", "self_attn.in_proj."},
                                                   {"attn.out_proj.", "self_attn.out_proj."},
                                                   {"mlp.c_fc.", "mlp.fc1."},
                                                   {"mlp.c_proj.", "mlp.fc2."}}};
  for (const auto& [theirs, ours] : kWhole)
    if (name == theirs) return std::string(ours);
  if (name == "text_projection.weight") return std::string(name);
  const std::string_view rest = after(name, kResBlocks);
  const std::size_t dot = rest.find('.');
  if (rest.empty() || dot == std::string_view::npos) return "";
  const std::string layer = joined("text_model.encoder.layers.", rest.substr(0, dot + 1));
  for (const auto& [theirs, ours] : kParts)
    if (const std::string_view end = after(rest.substr(dot + 1), theirs); !end.empty())
      return layer + joined(ours, end);
  return "";
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
    // A whole checkpoint has the markers of its UNet without the prefix.
    if (is_variant_marker(name)) return name;
    const bool own = belongs_to_unet(rest) || is_variant_marker(rest);
    return own ? std::string(rest) : std::string();
  };
}

std::optional<Rename> find_clip_l(const TensorDirectory& file) {
  const auto prefix = find_prefix(file, kClipPrefixes, kClipMarker);
  if (!prefix || (*prefix == "text_model." && file.has(std::string(kClipGMarker))))
    return std::nullopt;
  return [prefix = *prefix](const std::string& name) {
    const std::string_view rest = after(name, prefix);
    return belongs_to_clip(rest) ? joined("text_model.", rest) : std::string();
  };
}

std::optional<Rename> find_clip_g(const TensorDirectory& file) {
  if (const auto prefix = find_prefix(file, kOpenClipPrefixes, kOpenClipMarker)) {
    return
        [prefix = *prefix](const std::string& name) { return from_open_clip(after(name, prefix)); };
  }
  const auto prefix = find_prefix(file, kClipGPrefixes, kClipGMarker);
  if (!prefix) return std::nullopt;
  return [prefix = *prefix](const std::string& name) {
    const std::string_view rest = name.starts_with(prefix)
                                      ? std::string_view(name).substr(prefix.size())
                                      : std::string_view();
    const bool own =
        belongs_to_clip(after(rest, "text_model.")) || rest == "text_projection.weight";
    return own ? std::string(rest) : std::string();
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
         ", " + joined(kOpenClipPrefixes[0], kOpenClipMarker) + ", " +
         joined(kVaePrefixes[0], kVaeMarker) + " (or the same without their prefixes), " +
         std::string(kDiffusersVaeMarker);
}

}  // namespace luna::worker
