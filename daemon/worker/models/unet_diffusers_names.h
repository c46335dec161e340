#pragma once

#include <string>

#include "daemon/worker/models/unet_config.h"

namespace luna::worker {

/// diffusers' path of a layer of an ldm UNet: "down_blocks.0.attentions.0.proj_in" for
/// "input_blocks.1.1.proj_in"; "" for a layer that diffusers' UNet2DConditionModel does not have.
///
/// ldm counts all blocks through; diffusers counts levels, the upward ones from the innermost, and
/// in each level residual blocks and attentions apart.
std::string diffusers_layer_name(const UNetConfig& config, const std::string& layer);

}  // namespace luna::worker
