#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model_files/shard_index.h"
#include "common/types/file_identity.h"

namespace luna {

/// The safetensors files that hold a component, or a whole checkpoint, in one piece or in shards.
struct TensorFiles {
  std::string prefix;                       ///< before the names of its tensors: "unet/", or ""
  std::vector<std::string> files;           ///< their paths
  std::string index_path;                   ///< "" for one file
  std::shared_ptr<const ShardIndex> index;  ///< its shards are `files`, in the order of shards()
  std::string config;  ///< path of the config.json that belongs to them; "" for none
};

/// Every file that a model's path stands for.
struct ModelFiles {
  std::vector<TensorFiles> parts;
  /// Of a diffusers folder: its model_index.json, and its scheduler_config.json or "".
  std::string folder_index, scheduler;

  std::vector<std::string> all() const;
};

/// A folder with a model_index.json.
bool is_diffusers_folder(const std::string& path);

/// `path` is a safetensors file (any other file too; nothing is read of it), a shard index, or a
/// diffusers folder: model_index.json beside unet/, transformer/, vae/, text_encoder/ and
/// text_encoder_2/, each with diffusion_pytorch_model or model, ".fp16" first as ComfyUI's
/// comfy/diffusers_load.py looks, whole before sharded. A config.json counts beside files that have
/// these names, or an index.
///
/// Looks at names alone, but for an index, which is read once for each of its states. NOT_FOUND for
/// a path without a file; INVALID_ARGUMENT for a folder that is none of diffusers', one whose
/// subfolder holds no weights that are read, and what parse_shard_index() answers.
Result<ModelFiles> find_model_files(const std::string& path);

/// identify() of what `path` stands for: changes when any of its files does, and when one comes or
/// goes. A few stat calls. Also what find_model_files() answers; a missing shard is NOT_FOUND and
/// named with its index and a tensor that should lie in it.
Result<FileIdentity> identify_model(const std::string& path);

}  // namespace luna
