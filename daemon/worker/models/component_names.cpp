#include "daemon/worker/models/component_names.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "daemon/worker/models/autoencoder_names.h"
#include "daemon/worker/models/model_shapes.h"
#include "daemon/worker/models/unet_diffusers_names.h"
#include "daemon/worker/models/unet_variant.h"

namespace luna::worker {
namespace {

constexpr std::string_view kUNetMarker = "input_blocks.0.0.weight";
constexpr std::array<std::string_view, 2> kUNetPrefixes = {"model.diffusion_model.", ""};
constexpr std::array<std::string_view, 4> kUNetParts = {"time_embed.", "label_emb.", "out.",
                                                        "middle_block."};

// Neither ControlNets nor motion modules have both.
constexpr std::string_view kDiffusersUNetMarker = "down_blocks.0.resnets.0.time_emb_proj.weight";
constexpr std::string_view kDiffusersUNetEnd = "up_blocks.0.resnets.0.conv1.weight";
constexpr std::array<std::string_view, 2> kDiffusersUNetPrefixes = {"unet/", ""};

constexpr std::string_view kClipMarker = "encoder.layers.0.mlp.fc1.weight";
constexpr std::string_view kClipGMarker = "encoder.layers.30.mlp.fc1.weight";
constexpr std::string_view kTextModel = "text_model.";
constexpr std::array<std::string_view, 6> kClipPrefixes = {
    "cond_stage_model.transformer.text_model.",
    "cond_stage_model.transformer.",
    "clip_l.transformer.text_model.",
    "conditioner.embedders.0.transformer.text_model.",
    "text_encoder/text_model.",
    "text_encoder/"};
constexpr std::array<std::string_view, 3> kClipGPrefixes = {
    "clip_g.transformer.text_model.", "text_encoder_2/text_model.", "text_encoder_2/"};
/// Transformers' names alone in a file; its fifth version writes CLIPTextModel's without the first
/// word.
constexpr std::array<std::string_view, 2> kLonePrefixes = {kTextModel, ""};

constexpr std::string_view kOpenClipMarker = "ln_final.weight";
constexpr std::array<std::string_view, 2> kOpenClipPrefixes = {"conditioner.embedders.1.model.",
                                                               "conditioner.embedders.0.model."};
constexpr std::string_view kResBlocks = "transformer.resblocks.";
constexpr const char* kProjection = "text_projection.weight";

constexpr std::string_view kVaeMarker = "decoder.conv_in.weight";
constexpr std::string_view kDiffusersVaeMarker = "decoder.up_blocks.0.resnets.0.norm1.weight";
constexpr std::array<std::string_view, 4> kVaePrefixes = {"first_stage_model.", "vae.", "vae/", ""};

// Its encoder has the second too; Flux2's decoder has both, and pools besides.
constexpr const char* kTaesdMarker = "1.weight";
constexpr const char* kTaesdBlock = "3.conv.0.weight";
constexpr const char* kTaesdPool = "3.pool.0.weight";

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

/// Of a text encoder alone in its file. One of CLIP-L's own width is a CLIP-L, whatever its GELU.
bool is_clip_g(const TensorDirectory& file, const std::string& prefix) {
  constexpr std::int64_t kClipLWidth = 768;
  if (file.has(joined(prefix, kClipGMarker))) return true;
  return file.metadata.contains("luna.clip_g.heads") &&
         !file.metadata.contains("luna.clip_l.heads") &&
         extent(file, joined(prefix, kClipMarker), 1) != kClipLWidth;
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
  if (name == kProjection) return std::string(name);
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

std::optional<Rename> find_unet(const TensorDirectory& file) {
  if (const auto prefix = find_prefix(file, kUNetPrefixes, kUNetMarker)) {
    return [prefix = *prefix](const std::string& name) {
      const std::string_view rest = after(name, prefix);
      // A whole checkpoint has the markers of its UNet without the prefix.
      if (is_variant_marker(name)) return name;
      const bool own = belongs_to_unet(rest) || is_variant_marker(rest);
      return own ? std::string(rest) : std::string();
    };
  }
  const auto prefix = find_prefix(file, kDiffusersUNetPrefixes, kDiffusersUNetMarker);
  if (!prefix || !file.has(joined(*prefix, kDiffusersUNetEnd))) return std::nullopt;
  const auto layers =
      std::make_shared<const UNetLayerNames>(stages_of_diffusers_unet(file, *prefix));
  return [prefix = *prefix, layers](const std::string& name) {
    const std::string_view rest = after(name, prefix);
    const std::size_t dot = rest.rfind('.');
    if (dot == std::string_view::npos) return std::string();
    const std::string layer = layers->to_ldm(rest.substr(0, dot));
    return layer.empty() ? layer : joined(layer, rest.substr(dot));
  };
}

std::optional<Rename> find_clip_l(const TensorDirectory& file) {
  auto prefix = find_prefix(file, kClipPrefixes, kClipMarker);
  if (!prefix) {
    prefix = find_prefix(file, kLonePrefixes, kClipMarker);
    if (prefix && is_clip_g(file, *prefix)) return std::nullopt;
  }
  if (!prefix) return std::nullopt;
  return [prefix = *prefix](const std::string& name) {
    if (!name.starts_with(prefix)) return std::string();
    const std::string_view rest = std::string_view(name).substr(prefix.size());
    return belongs_to_clip(rest) ? joined(kTextModel, rest) : std::string();
  };
}

std::optional<Rename> find_clip_g(const TensorDirectory& file) {
  if (const auto prefix = find_prefix(file, kOpenClipPrefixes, kOpenClipMarker)) {
    return
        [prefix = *prefix](const std::string& name) { return from_open_clip(after(name, prefix)); };
  }
  auto prefix = find_prefix(file, kClipGPrefixes, kClipMarker);
  if (!prefix) {
    prefix = find_prefix(file, kLonePrefixes, kClipMarker);
    if (prefix && !is_clip_g(file, *prefix)) return std::nullopt;
  }
  if (!prefix) return std::nullopt;
  std::string whole = *prefix;
  if (whole.ends_with(kTextModel)) whole.resize(whole.size() - kTextModel.size());
  return [prefix = *prefix, projection = whole + kProjection](const std::string& name) {
    if (name == projection) return std::string(kProjection);
    if (!name.starts_with(prefix)) return std::string();
    const std::string_view rest = std::string_view(name).substr(prefix.size());
    return belongs_to_clip(rest) ? joined(kTextModel, rest) : std::string();
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

std::optional<Rename> find_taesd(const TensorDirectory& file) {
  if (!file.has(kTaesdMarker) || !file.has(kTaesdBlock) || file.has(kTaesdPool))
    return std::nullopt;
  return [](const std::string& name) { return name; };
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
         std::string(kDiffusersUNetMarker) + ", " + std::string(kDiffusersVaeMarker) + ", " +
         kTaesdBlock;
}

}  // namespace luna::worker
