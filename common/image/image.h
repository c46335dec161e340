#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/status.h"

namespace luna {

/// A picture in host memory: 8 bits a sample, rows top to bottom, samples interleaved, no padding.
/// Channels are 1 (grey), 3 (RGB) or 4 (RGBA, not premultiplied).
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;
  std::vector<std::uint8_t> pixels;  ///< width * height * channels

  Image() = default;
  /// All zeros.
  Image(int width, int height, int channels);

  std::span<const std::uint8_t> row(int y) const;
  std::span<std::uint8_t> row(int y);
  bool empty() const { return pixels.empty(); }
  /// INVALID_ARGUMENT when sizes, channels and the number of bytes do not belong together.
  Status validate() const;
  bool operator==(const Image&) const = default;
};

/// Grey is repeated; alpha is dropped, as ComfyUI's LoadImage does.
Image to_rgb(const Image& image);
/// One channel of it as a grey picture; for a grey picture always that one.
Image channel_of(const Image& image, int channel);
/// The rectangle at (x, y); it must lie inside the picture.
Image crop(const Image& image, int x, int y, int width, int height);

}  // namespace luna
