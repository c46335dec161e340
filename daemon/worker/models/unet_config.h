#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

/// The shape of an ldm UNet, read from the names and shapes of its tensors
/// ("input_blocks.0.0.weight" and so on, without prefix). Nothing is assumed about width, levels,
/// blocks a level or transformer depth.
struct UNetConfig {
  struct Stage {
    std::int64_t in = 0;  ///< channels that enter, the skip connection's included
    std::int64_t out = 0;
    int level = 0;              ///< extents are 2^level times smaller than the latent's
    int transformer_depth = 0;  ///< 0: no transformer
    bool resamples = false;     ///< input: is nothing but a halving; output: ends with a doubling
  };
  enum class Middle { kNone, kResBlock, kFull };

  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::int64_t model_channels = 0;
  std::int64_t embedding_width = 0;
  std::int64_t context_width = 0;
  std::int64_t adm_channels = 0;    ///< width of the vector conditioning "y"; 0: none
  bool linear_projections = false;  ///< proj_in is a matrix (SD2, SDXL), not a 1x1 convolution
  std::int64_t heads = 8;           ///< the same in every transformer; 0: head_width decides
  std::int64_t head_width = 0;

  std::vector<Stage> input;  ///< after the first convolution
  Middle middle = Middle::kFull;
  Stage middle_stage;
  std::vector<Stage> output;

  /// An inpainting model: mask and masked latent come beside the latent.
  bool inpaints() const { return out_channels == 4 && in_channels == 9; }

  std::int64_t heads_at(std::int64_t channels) const {
    return heads > 0 ? heads : channels / head_width;
  }

  /// INVALID_ARGUMENT for a layout that no ldm UNet has, naming the tensor, and for widths that 32
  /// norm groups or the heads do not divide. Heads: 8, or metadata "luna.unet.heads", or
  /// "luna.unet.head_width" channels each; 64 channels
  /// each where there is vector conditioning or a context of 1024 (SDXL, SD2).
  static Result<UNetConfig> detect(const TensorDirectory& component);
  /// "320 channels x 1,2,4,4, blocks 2,2,2,2, transformers 1,1,1,0, context 768, 8 heads".
  std::string describe() const;
};

}  // namespace luna::worker
