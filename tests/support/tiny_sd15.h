#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/types/tensor.h"

namespace luna::support {

/// Size and content of a made-up SD1.5, or SDXL, in the layout of the real single-file checkpoint.
///
/// The values of a tensor follow from salt + its name without the component's prefix (fill_weight),
/// so the same component has the same bytes in every file that holds it, and another salt makes
/// another model.
struct TinySd15Options {
  /// UNet. channels: multiple of 32 and of 8 heads; one entry a level in the three lists.
  int unet_channels = 32;
  std::vector<int> unet_channel_mult = {1, 2, 2, 2};
  std::vector<int> unet_res_blocks = {1, 1, 1, 1};
  std::vector<int> unet_transformer_depth = {1, 1, 1, 0};  ///< 0: no attention in that level
  int unet_middle_depth = 1;
  int context_width = 64;  ///< also the width of the text encoder
  std::string unet_salt;
  bool inpaint = false;  ///< 9 input channels
  /// Markers in the file: "v", "v-zsnr", "edm" (Playground 2.5) or "edm-v" (sigmas 0.01 to 80); ""
  /// for none.
  std::string unet_variant;

  /// Text encoder; heads 0 means width / 64, any other number is noted in the metadata.
  int text_layers = 2;
  int text_heads = 0;
  DType text_dtype = DType::kF32;
  std::string text_salt;

  /// Other than 0: an SDXL. CLIP-G of this width in open_clip's names stands beside the text
  /// encoder; the UNet's context is as wide as both, its projections are matrices, its heads 64
  /// wide (so unet_channels a multiple of 64), and it has vector conditioning.
  int clip_g_width = 0;
  int clip_g_layers = 3;

  /// VAE; groups other than 32 are noted in the metadata.
  int vae_channels = 32;
  std::vector<int> vae_channel_mult = {1, 2, 2, 2};
  int vae_res_blocks = 1;
  int vae_groups = 32;
  std::string vae_salt;

  DType dtype = DType::kF32;  ///< of UNet and VAE

  bool with_unet = true, with_text = true, with_vae = true;
  /// Own names ("decoder.conv_in.weight") instead of the checkpoint's; for files of one component.
  bool bare_names = false;

  /// Four levels with SD1.5's depth (2 blocks a level, mult 1 2 4 4, 12 text layers) at the small
  /// widths.
  static TinySd15Options full_depth();
  /// What ComfyUI's own loader accepts: full widths, full VAE and text encoder, one UNet block a
  /// level.
  static TinySd15Options full_width();
  /// Two levels, 64 channels, text encoders of 64 and 128.
  static TinySd15Options sdxl();

  int unet_context() const { return context_width + clip_g_width; }
};

struct NamedTensor {
  std::string name;  ///< without the component's prefix
  TensorSpec spec;
};

/// Names and shapes of the components, in the order of the modules.
std::vector<NamedTensor> tiny_unet_tensors(const TinySd15Options& options);
std::vector<NamedTensor> tiny_text_tensors(const TinySd15Options& options);  ///< "text_model...."
std::vector<NamedTensor> tiny_clip_g_tensors(const TinySd15Options& options);
std::vector<NamedTensor> tiny_vae_tensors(const TinySd15Options& options);

/// A tensor as it stands in a file, and what fills it.
struct FilledTensor {
  std::string name;
  TensorSpec spec;
  std::function<void(std::span<float>)> fill;
};
/// What write_tiny_sd15() writes, in its order, and the metadata that it notes.
std::vector<FilledTensor> tiny_checkpoint_tensors(const TinySd15Options& options);
std::map<std::string, std::string> tiny_checkpoint_metadata(const TinySd15Options& options);

/// Writes the file; throws std::runtime_error. About 0.1 s with the defaults (25 MB, half of it the
/// token table).
void write_tiny_sd15(const std::string& path, const TinySd15Options& options = {});

}  // namespace luna::support
