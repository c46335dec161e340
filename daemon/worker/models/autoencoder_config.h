#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

/// The shape of an AutoencoderKL in ldm names ("encoder.down.0.block.0...."), read from names and
/// shapes.
struct AutoencoderConfig {
  std::int64_t groups = 32;
  std::int64_t latent_channels = 0;  ///< of the latents that leave and enter
  std::int64_t z_channels = 0;       ///< inside, before quant_conv and after post_quant_conv
  bool has_quant_conv = false;
  bool has_post_quant_conv = false;
  std::int64_t encoder_in = 0;               ///< width after the encoder's first convolution
  std::vector<std::int64_t> encoder_widths;  ///< one a level, pictures' size first
  std::vector<std::int64_t> decoder_widths;  ///< likewise
  std::int64_t encoder_blocks = 0;           ///< a level
  std::int64_t decoder_blocks = 0;

  int factor() const { return 1 << (decoder_widths.size() - 1); }

  /// INVALID_ARGUMENT for a layout that is none, or widths that the norm groups do not divide.
  /// Groups: 32, or metadata "luna.vae.groups".
  static Result<AutoencoderConfig> detect(const TensorDirectory& component);
  /// "4 latent channels, factor 8, widths 128,256,512,512, blocks 2+3".
  std::string describe() const;
};

}  // namespace luna::worker
