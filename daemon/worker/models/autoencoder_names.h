#pragma once

#include <string>

namespace luna::worker {

/// Takes diffusers' name of an AutoencoderKL tensor to ldm's
/// ("decoder.up_blocks.0.resnets.1.norm1.weight" to "decoder.up.3.block.1.norm1.weight" with four
/// levels); "" for names that are none.
std::string autoencoder_name_from_diffusers(const std::string& name, std::size_t levels);

}  // namespace luna::worker
