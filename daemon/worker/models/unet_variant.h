#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "daemon/worker/models/denoising_model.h"
#include "daemon/worker/weights/tensor_directory.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// Whether a tensor of this name says how a UNet was trained and is no weight: "v_pred", "ztsnr",
/// "edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min". Such tensors belong to the
/// UNet's component, so that a variant never has the identity of the plain model.
bool is_variant_marker(std::string_view name);

/// What an SDXL UNet was trained to predict, and on which noise (reference:
/// comfy/supported_models.py: SDXL.model_type).
struct UNetVariant {
  Prediction prediction = Prediction::kEps;
  bool zero_terminal_snr = false;
  SigmaRange sigmas;
  /// Latents by channel mean and deviation: Playground 2.5, told by edm_mean with edm_std.
  bool normalized_latents = false;

  /// By the markers among a component's tensors. UNIMPLEMENTED where ComfyUI would not read them
  /// and draw noise: in other families than "sdxl", and half of a pair. INVALID_ARGUMENT for a
  /// sigma that is not one number.
  static Result<UNetVariant> detect(const TensorDirectory& component, const std::string& family);
  /// As detect(), with the sigmas that the file gives. INVALID_ARGUMENT unless 0 < min < max.
  static Result<UNetVariant> read(const WeightStore& weights, const std::string& family);

  std::string name() const;   ///< "eps", "v", "v_zsnr", "edm", "edm_v"
  std::string title() const;  ///< "v-prediction with zero terminal SNR"; "" for the plain model
};

}  // namespace luna::worker
