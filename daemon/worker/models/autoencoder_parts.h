#pragma once

#include <optional>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/layers/resample.h"
#include "daemon/worker/layers/vae_blocks.h"
#include "daemon/worker/models/autoencoder_config.h"

namespace luna::worker {

/// Pixels [n,3,H,W] to the moments before quant_conv, [n,2z,h,w].
class AutoencoderEncoder {
 public:
  AutoencoderEncoder(const WeightScope& scope, const AutoencoderConfig& config,
                     Placement& placement);
  at::Tensor forward(const at::Tensor& pixels) const;

 private:
  struct Level {
    std::vector<VaeResBlock> blocks;
    std::optional<Downsample> down;
  };
  Conv2d conv_in_;
  std::vector<Level> levels_;
  VaeMiddle middle_;
  GroupNorm norm_out_;
  Conv2d conv_out_;
};

/// Latents after post_quant_conv [n,z,h,w] to pixels [n,3,H,W].
class AutoencoderDecoder {
 public:
  AutoencoderDecoder(const WeightScope& scope, const AutoencoderConfig& config,
                     Placement& placement);
  at::Tensor forward(const at::Tensor& z) const;

 private:
  struct Level {
    std::vector<VaeResBlock> blocks;
    std::optional<Upsample> up;
  };
  Conv2d conv_in_;
  VaeMiddle middle_;
  std::vector<Level> levels_;  ///< in order of execution, the narrowest pictures first
  GroupNorm norm_out_;
  Conv2d conv_out_;
};

}  // namespace luna::worker
