#pragma once

#include <string_view>

#include "daemon/worker/engine/request_tensors.h"

namespace luna::worker {

/// "c_concat" [1, 1 + C, h, w] f32 of an inpainting model: the mask (1 is repainted), then the
/// latent of the picture without what the mask repaints, in the model's scale. Reference:
/// comfy/model_base.py: BaseModel.concat_cond.
///
/// The entry's extras: "concat_latent_image" [C, h, w] or [1, C, h, w], VAE scale, and
/// "concat_mask" [H, W], [1, H, W] or [1, 1, H, W], 0..1; other sizes are cut to the proportions
/// and resized, and the mask is rounded. Without a mask of its own the row's noise mask counts, and
/// without a picture of its own the row's latent; without any mask all is repainted, and the
/// picture blank. INVALID_ARGUMENT for other shapes, and for a mask without any picture.
Result<at::Tensor> concat_conditioning(const ConditioningEntry& entry, std::string_view what,
                                       const DenoiserTraits& traits, const EntryPlace& place);

}  // namespace luna::worker
