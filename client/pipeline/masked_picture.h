#pragma once

#include <vector>

#include "client/pipeline/picture_size.h"

namespace luna::client {

/// What an inpainting model is given beside the latent (ComfyUI, nodes.py:
/// InpaintModelConditioning).
struct MaskedPicture {
  TensorRef pixels;  ///< for the VAE: f32 [1, height, width, 3] in 0..1, grey where it is repainted
  TensorRef mask;    ///< f32 [1, height, width]; the noise mask, too
};

/// The starting picture, cut and resized as start_pixels() does, without what the mask repaints.
/// The mask is stretched to the picture (bilinear) when it has another size, and goes along with
/// it; only for the pixels is it rounded.
MaskedPicture masked_picture(const GenerateRequest& request, PictureSize size);

/// Whether the UNet among these is an inpainting model.
bool takes_masked_picture(const std::vector<ComponentInfo>& components);

}  // namespace luna::client
