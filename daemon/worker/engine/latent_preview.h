#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/models/denoising_model.h"

namespace luna::worker {

/// Whether latent_preview() knows this model's latents: SD1.5's, SDXL's and Playground 2.5's.
bool has_latent_preview(const DenoiserTraits& traits);

/// A rough picture of x0 [rows, C, h, w] (model space) by one linear map from channels to colours:
/// u8 [rows, H, W, 3] on the host, the longer edge at most `max_edge` and at most 8 pixels a latent
/// cell.
at::Tensor latent_preview(const DenoiserTraits& traits, const at::Tensor& x0, int max_edge);

}  // namespace luna::worker
