#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace luna::worker {

/// The vectors of a textual-inversion file (safetensors) for a text encoder of `width`, row by row.
///
/// `key` names the encoder ("clip_l") for files made for several. Taken, in this order: the tensor
/// `key`; all of "bundle_emb.*.string_to_param.*", or of "bundle_emb.*.<key>", one below the other;
/// "emb_params"; the first tensor of the file (comfy/sd1_clip.py: load_embed). NOT_FOUND,
/// INVALID_ARGUMENT (another width, not rows of numbers, more than 4096 rows), DATA_LOSS, and
/// UNIMPLEMENTED for .pt and .bin: these are pickles, and reading one runs code of its author.
Result<std::vector<std::vector<float>>> read_embedding(const std::string& path, std::size_t width,
                                                       const std::string& key = "clip_l");

}  // namespace luna::worker
