#include "daemon/worker/models/unserved_families.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace luna::worker {
namespace {

struct Marker {
  std::string_view family;
  std::string_view tensor;
  bool denoiser;
  std::string_view unless = {};  ///< a tensor that a family has which is served
};

// The last three: subfolders of a diffusers folder.
constexpr std::array<std::string_view, 7> kPrefixes = {"",
                                                       "model.diffusion_model.",
                                                       "diffusion_model.",
                                                       "model.",
                                                       "transformer/",
                                                       "text_encoder/",
                                                       "text_encoder_2/"};

// In the order of the search: the more telling tensor first.
constexpr std::array kMarkers = {
    Marker{"SD2", "cond_stage_model.model.ln_final.weight", true},
    Marker{"SD3", "joint_blocks.0.context_block.attn.qkv.weight", true},
    Marker{"Flux2", "double_stream_modulation_img.lin.weight", true},
    Marker{"Flux", "double_blocks.0.img_attn.norm.key_norm.scale", true},
    Marker{"Flux", "double_blocks.0.img_attn.norm.key_norm.weight", true},
    Marker{"Z-Image or Lumina2", "noise_refiner.0.attention.k_norm.weight", true},
    Marker{"Wan", "blocks.0.cross_attn.norm_k.weight", true},
    Marker{"SD3 or Flux in diffusers' layout", "transformer_blocks.0.attn.add_q_proj.weight", true},
    Marker{"CLIP-H", "text_model.encoder.layers.22.mlp.fc1.weight", false,
           "text_model.encoder.layers.30.mlp.fc1.weight"},
    Marker{"CLIP-H", "encoder.layers.22.mlp.fc1.weight", false, "encoder.layers.30.mlp.fc1.weight"},
    Marker{"T5", "encoder.block.0.layer.0.SelfAttention.q.weight", false},
    Marker{"Qwen3", "layers.0.self_attn.q_norm.weight", false},
    Marker{"CLIP vision", "vision_model.encoder.layers.0.mlp.fc1.weight", false},
    Marker{"TAESD as a VAE", "taesd_decoder.1.weight", false},
    Marker{"TAESD of Flux2", "3.pool.0.weight", false},
    Marker{"ESRGAN upscaler", "model.0.weight", false},
    Marker{"ESRGAN upscaler", "conv_first.weight", false},
    Marker{"SAM3", "detector.transformer.decoder.query_embed.weight", false},
    Marker{"ControlNet", "input_hint_block.0.weight", false},
    Marker{"ControlNet", "controlnet_cond_embedding.conv_in.weight", false},
};

}  // namespace

std::optional<UnservedFamily> find_unserved_family(const TensorDirectory& file) {
  for (const Marker& marker : kMarkers)
    for (const std::string_view prefix : kPrefixes) {
      std::string name = std::string(prefix) + std::string(marker.tensor);
      if (file.has(name) && !file.has(std::string(prefix) + std::string(marker.unless)))
        return UnservedFamily{std::string(marker.family), std::move(name), marker.denoiser};
    }
  return std::nullopt;
}

bool looks_like_adapter(const TensorDirectory& file) {
  static constexpr std::array<std::string_view, 6> kParts = {
      ".lora_down.", ".lora_A.", "_lora.down.", ".hada_w1_a", ".lokr_w1", ".oft_blocks"};
  return std::any_of(file.tensors.begin(), file.tensors.end(), [](const auto& entry) {
    return std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) {
      return entry.first.find(part) != std::string::npos;
    });
  });
}

std::string unserved_markers() {
  std::string text;
  for (const Marker& marker : kMarkers) {
    if (!text.empty()) text += ", ";
    text += std::string(marker.tensor) + " (" + std::string(marker.family) + ")";
  }
  return text;
}

}  // namespace luna::worker
