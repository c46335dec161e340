#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/tiny_sd15.h"

namespace luna::support {

/// Writes the checkpoint of write_tiny_sd15() as `shards` files beside the index `path`
/// ("x.safetensors.index.json"), named and laid out as Hugging Face does; returns their paths.
std::vector<std::string> write_tiny_shards(const std::string& path, const TinySd15Options& options,
                                           int shards);

struct DiffusersFolderOptions {
  bool fp16_names = false;  ///< "diffusion_pytorch_model.fp16.safetensors"; the types stay
  int unet_shards = 1;
};
/// Writes the weights of write_tiny_sd15() as the folder that diffusers' save_pretrained makes of
/// them: model_index.json, unet/, vae/, text_encoder/ and, of an SDXL, text_encoder_2/, with their
/// config.json. Names and configurations are worked out here, apart from the daemon's tables.
void write_diffusers_folder(const std::string& path, const TinySd15Options& options,
                            const DiffusersFolderOptions& how = {});

/// The components' tensors in diffusers' and transformers' names, for files of one component.
std::vector<FilledTensor> diffusers_unet_tensors(const TinySd15Options& options);
std::vector<FilledTensor> diffusers_vae_tensors(const TinySd15Options& options);
std::vector<FilledTensor> transformers_clip_l_tensors(const TinySd15Options& options);
std::vector<FilledTensor> transformers_clip_g_tensors(const TinySd15Options& options);

/// One safetensors file of these tensors, with Hugging Face's metadata unless said otherwise.
void write_tensors(const std::string& path, std::vector<FilledTensor> tensors,
                   const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

/// The config.json that belongs to each.
std::string diffusers_unet_config(const TinySd15Options& options);
std::string diffusers_vae_config(const TinySd15Options& options);
std::string transformers_clip_l_config(const TinySd15Options& options);
std::string transformers_clip_g_config(const TinySd15Options& options);

}  // namespace luna::support
