#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/sampling.h"
#include "daemon/worker/models/denoising_model.h"
#include "daemon/worker/sampling/model_sampling.h"

namespace luna::worker {

/// Largest extent of a latent, each way: 8192 pixels at a factor of 8.
inline constexpr std::int64_t kMaxLatentExtent = 1024;

/// A tensor of a request as f32 on the host. INVALID_ARGUMENT when it is not floating (u8 is taken
/// too), or has NaN or infinite values.
Result<at::Tensor> finite_floats(const TensorRef& tensor, std::string_view what);

/// A row's latent [channels, h, w]; INVALID_ARGUMENT naming the shape that was expected and found.
Result<at::Tensor> latent_row(const TensorRef& tensor, std::string_view what, int channels);

/// A row's noise mask ([H, W] or [1, H, W], any size) for a latent of shape [1, C, h, w].
Result<at::Tensor> mask_row(const TensorRef& tensor, std::string_view what, at::IntArrayRef nchw);

/// A conditioning entry as rows of the batcher use it.
struct ActiveEntry {
  at::Tensor context;  ///< [1, tokens, width] in the model's compute type, on its device
  std::map<std::string, at::Tensor> extras;  ///< "y": the vector conditioning, [1, width] f32
  double strength = 1;
  double sigma_from = 0;  ///< active for sigma_to <= sigma <= sigma_from
  double sigma_to = 0;
  bool active_at(double sigma) const { return sigma <= sigma_from && sigma >= sigma_to; }
};

/// For which latent, and with which sign, an entry is made ready.
struct EntryPlace {
  std::int64_t height = 0, width = 0;  ///< latent cells
  bool negative = false;
};

/// INVALID_ARGUMENT for a context of another width or shape, a pooled vector that the family needs
/// and that is absent or of another width, or numbers out of range. UNIMPLEMENTED names a field
/// that asks for what is not served (area, mask, attention_mask, is_default, extras). Fields
/// without a meaning for the family (pooled, guidance, sizes) change nothing, as in ComfyUI.
Result<ActiveEntry> active_entry(const ConditioningEntry& entry, std::string_view what,
                                 const DenoisingModel& model, const ModelSampling& sampling,
                                 const EntryPlace& place);

/// The noise process of a family. UNIMPLEMENTED for predictions without one yet.
Result<const ModelSampling*> sampling_of(const DenoiserTraits& traits);

}  // namespace luna::worker
