#pragma once

#include <functional>
#include <optional>
#include <string>

#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

/// A file's name of a tensor to the component's own, "" for tensors of others.
using Rename = std::function<std::string(const std::string&)>;

/// Each looks for its component's marker tensors, in the whole checkpoint's layouts, in a diffusers
/// folder (ModelTensors' names) and alone in a file.
/// ldm's names, or those of diffusers' UNet2DConditionModel.
std::optional<Rename> find_unet(const TensorDirectory& file);
std::optional<Rename> find_clip_l(const TensorDirectory& file);
/// OpenCLIP's names, as SDXL's single files have them, or transformers'
/// (CLIPTextModelWithProjection). Alone in a file the latter is told by its 31st layer, or by
/// metadata "luna.clip_g.heads", which its config.json gives too; shapes and a text_projection
/// alone would not do, for CLIP-L files have one as well.
std::optional<Rename> find_clip_g(const TensorDirectory& file);
std::optional<Rename> find_autoencoder(const TensorDirectory& file);
/// TAESD's decoder alone in a file, whose tensors have the numbers of its modules.
std::optional<Rename> find_taesd(const TensorDirectory& file);

/// The component alone, in its own names; the metadata goes along.
TensorDirectory renamed(const TensorDirectory& file, const Rename& rename);

/// Marker tensors that the functions above look for, for messages.
std::string served_markers();

}  // namespace luna::worker
