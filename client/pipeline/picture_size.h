#pragma once

#include <vector>

#include "client/include/luna/client/generate.h"

namespace luna::client {

/// The latent of a family: how many channels, and how many pixels a cell is wide.
struct LatentGeometry {
  int channels = 4;
  int factor = 8;
  int native_width = 512;  ///< pixels, of the pictures that the model was trained with
  int native_height = 512;
};

/// By the UNet found among the components: what its file says, else its family's; without one,
/// SD1.5's (the server checks every shape anyway).
LatentGeometry latent_geometry(const std::vector<ComponentInfo>& components);

struct PictureSize {
  int width = 0;
  int height = 0;
  bool operator==(const PictureSize&) const = default;
};

/// The size that a request asks for (see GenerateRequest::width). INVALID_ARGUMENT for a given size
/// that is no multiple of the factor, with the nearest that is.
Result<PictureSize> picture_size(const GenerateRequest& request, const LatentGeometry& geometry);

}  // namespace luna::client
