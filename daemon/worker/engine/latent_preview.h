#pragma once

#include <string>

#include <ATen/ATen.h>

namespace luna::worker {

/// Whether latent_preview() knows this family's latents.
bool has_latent_preview(const std::string& family);

/// A rough picture of x0 [rows, C, h, w] (model space) by one linear map from channels to colours:
/// u8 [rows, H, W, 3] on the host, the longer edge at most `max_edge` and at most 8 pixels a latent
/// cell.
at::Tensor latent_preview(const std::string& family, const at::Tensor& x0, int max_edge);

}  // namespace luna::worker
