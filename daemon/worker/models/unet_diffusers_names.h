#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/worker/models/unet_config.h"

namespace luna::worker {

/// The two names of every layer of an ldm UNet: ldm's ("input_blocks.1.1.proj_in") and diffusers'
/// path of it in its UNet2DConditionModel ("down_blocks.0.attentions.0.proj_in").
///
/// ldm counts all blocks through; diffusers counts levels, the upward ones from the innermost, and
/// in each level residual blocks and attentions apart.
class UNetLayerNames {
 public:
  /// Of the config only the stages are looked at, and of them level, whether there is a transformer
  /// and whether they resample.
  explicit UNetLayerNames(const UNetConfig& config);

  /// "" for a layer that the other does not have.
  std::string to_diffusers(std::string_view ldm_layer) const;
  std::string to_ldm(std::string_view diffusers_layer) const;

 private:
  enum class Kind { kLayer, kResBlock, kTransformer };
  struct Place {
    std::string ldm, diffusers;  ///< a layer, or a block that holds some
    Kind kind = Kind::kLayer;
  };
  using Side = std::string Place::*;
  std::string renamed(std::string_view layer, Side from, Side to) const;

  std::vector<Place> places_;
};

/// The stages of a UNet whose tensors have diffusers' names behind `prefix`, as far as
/// UNetLayerNames looks at them.
UNetConfig stages_of_diffusers_unet(const TensorDirectory& file, const std::string& prefix);

}  // namespace luna::worker
