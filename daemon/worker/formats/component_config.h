#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace luna::worker {

inline constexpr std::size_t kMaxComponentConfig = std::size_t{1} << 20;

/// What tensors cannot tell, of a config.json as diffusers and transformers write it, as the
/// metadata that detection reads: "luna.unet.heads" or "luna.unet.head_width", "luna.vae.groups",
/// "luna.clip_l.heads", "luna.clip_g.heads" (the one whose GELU is exact). Empty for a class that
/// is none of UNet2DConditionModel, AutoencoderKL and CLIP's text models.
///
/// INVALID_ARGUMENT for what is not JSON or has a field of another kind than expected,
/// UNIMPLEMENTED for a network that is built otherwise than those that are served; by field.
Result<std::map<std::string, std::string>> component_metadata(std::string_view json);

/// A scheduler_config.json: UNIMPLEMENTED when the model predicts something else than noise, or is
/// one of EDM noise.
Status check_scheduler_config(std::string_view json);

}  // namespace luna::worker
