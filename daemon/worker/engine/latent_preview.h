#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/models/denoising_model.h"
#include "daemon/worker/models/taesd.h"

namespace luna::worker {

/// Whether latent_preview() knows this model's latents: SD1.5's, SDXL's and Playground 2.5's.
bool has_latent_preview(const DenoiserTraits& traits);

/// A rough picture of x0 [rows, C, h, w] (model space) by one linear map from channels to colours:
/// u8 [rows, H, W, 3] on the host, the longer edge at most `max_edge` and at most 8 pixels a latent
/// cell.
at::Tensor latent_preview(const DenoiserTraits& traits, const at::Tensor& x0, int max_edge);

/// The same picture by TAESD: row after row, so that memory is that of one, and then scaled down to
/// the size that latent_preview() would have. x0 has the decoder's channels.
at::Tensor decoded_preview(const TaesdDecoder& decoder, const at::Tensor& x0, int max_edge);

}  // namespace luna::worker
