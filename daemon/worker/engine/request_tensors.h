#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/sampling.h"
#include "daemon/worker/engine/entry_region.h"
#include "daemon/worker/models/denoising_model.h"
#include "daemon/worker/sampling/model_sampling.h"

namespace luna::worker {

/// Largest extent of a latent, each way: 8192 pixels at a factor of 8.
inline constexpr std::int64_t kMaxLatentExtent = 1024;
/// Of a mask that lies over pixels.
inline constexpr std::int64_t kMaxMaskExtent = 8 * kMaxLatentExtent;

/// A tensor of a request as f32 on the host. INVALID_ARGUMENT when it is not floating (u8 is taken
/// too), or has NaN or infinite values.
Result<at::Tensor> finite_floats(const TensorRef& tensor, std::string_view what);
/// The same where the tensor is: on the device when it came as GPU memory.
Result<at::Tensor> finite_floats_in_place(const TensorRef& tensor, std::string_view what);

/// A row's latent [channels, h, w]; INVALID_ARGUMENT naming the shape that was expected and found.
Result<at::Tensor> latent_row(const TensorRef& tensor, std::string_view what, int channels);

/// A row's noise mask ([H, W] or [1, H, W], any size) for a latent of shape [1, C, h, w].
Result<at::Tensor> mask_row(const TensorRef& tensor, std::string_view what, at::IntArrayRef nchw);

/// A conditioning entry as rows of the batcher use it.
struct ActiveEntry {
  at::Tensor context;  ///< [1, tokens, width] in the model's compute type, on its device
  /// "y": the vector conditioning, [1, width] f32; "c_concat" of an inpainting model, [1, c, h, w]
  /// in the compute type.
  std::map<std::string, at::Tensor> extras;
  double strength = 1;
  bool is_default = false;  ///< counts where the others leave something, and as much
  EntryRegion region;       ///< its weight lies on the device
  double sigma_from = 0;    ///< active for sigma_to <= sigma <= sigma_from
  double sigma_to = 0;
  bool active_at(double sigma) const { return sigma <= sigma_from && sigma >= sigma_to; }
};

/// For which latent, and with which sign, an entry is made ready.
struct EntryPlace {
  std::int64_t height = 0, width = 0;  ///< latent cells
  bool negative = false;
  /// The row's, [1, C, h, w] f32 in the model's scale; undefined in a lone evaluation.
  at::Tensor latent = {};
  at::Tensor noise_mask = {};     ///< the row's, [1, C, h, w]; undefined without one
  std::uint32_t batch_index = 0;  ///< of the row in its latent batch
};

/// INVALID_ARGUMENT for a context of another width or shape, a pooled vector that the family needs
/// and that is absent or of another width, or numbers out of range. UNIMPLEMENTED names a field
/// that asks for what is not served (attention_mask, other extras than concat_latent_image and
/// concat_mask). Fields without a meaning for the model (pooled, guidance, sizes, those two extras)
/// change nothing, as in ComfyUI. What is in `given` (row_extras.h) counts instead of what the entry
/// would give, which is not looked at then.
Result<ActiveEntry> active_entry(const ConditioningEntry& entry, std::string_view what,
                                 const DenoisingModel& model, const ModelSampling& sampling,
                                 const EntryPlace& place,
                                 std::map<std::string, at::Tensor> given = {});

/// The noise process of a model. UNIMPLEMENTED for predictions without one yet.
Result<std::shared_ptr<const ModelSampling>> sampling_of(const DenoiserTraits& traits);

}  // namespace luna::worker
