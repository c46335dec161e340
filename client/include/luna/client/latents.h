#pragma once

#include <string>

#include "common/types/tensor.h"

namespace luna::client {

/// A latents file: safetensors with one tensor "latent_tensor", f32 [B, C, h, w] in VAE scale.
/// INVALID_ARGUMENT for another type or rank, or a tensor that is not on the host.
Result<std::string> encode_latents(const TensorRef& latents);
/// Replaces an existing file; it is never half written.
Status save_latents(const std::string& path, const TensorRef& latents);

}  // namespace luna::client
