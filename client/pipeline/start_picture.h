#pragma once

#include "client/pipeline/picture_size.h"

namespace luna::client {

/// The starting picture as the VAE gets it: u8 [1, height, width, 3]. Without a size in the request
/// its middle is cut out (ComfyUI, comfy/sd.py: VAE.vae_encode_crop_pixels); with one it is cut to
/// the proportions and resized.
TensorRef start_pixels(const GenerateRequest& request, PictureSize size);

/// The mask as a row gets it: f32 [1, H, W], 1 is repainted. Follows the picture when that is
/// resized and both have one size; otherwise it is sent as it is and stretched to the latent by the
/// sampler, as ComfyUI does.
TensorRef noise_mask(const GenerateRequest& request, PictureSize size);

}  // namespace luna::client
