#pragma once

#include "common/image/image.h"

namespace luna {

/// kArea: the mean of what a pixel covers, for thumbnails. kLanczos: windowed sinc of three lobes,
/// widened when shrinking, for pictures that a model will see. Both separable, edges renormalised.
enum class ResizeFilter { kArea, kLanczos };

/// Samples are filtered as they are (no gamma, no premultiplication by alpha). Both sizes at
/// least 1.
Image resize(const Image& image, int width, int height, ResizeFilter filter);

/// Cuts the middle to the target's proportions, then resizes: fills width x height without
/// distortion.
Image resize_to_fill(const Image& image, int width, int height, ResizeFilter filter);

}  // namespace luna
