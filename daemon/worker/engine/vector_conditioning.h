#pragma once

#include <string_view>

#include "daemon/worker/engine/request_tensors.h"

namespace luna::worker {

/// "y" [1, vector_width] f32 of SDXL and its refiner: the pooled text, then the sinusoids of sizes
/// and places. What `entry.numbers` does not say is the latent's size in pixels, no crop, and an
/// aesthetic score of 6 (2.5 for a negative entry). Reference: comfy/model_base.py SDXL.encode_adm,
/// SDXLRefiner.encode_adm; comfy/samplers.py encode_model_conds. INVALID_ARGUMENT without a pooled
/// vector of the right width.
Result<at::Tensor> vector_conditioning(const ConditioningEntry& entry, std::string_view what,
                                       const DenoiserTraits& traits, const EntryPlace& place);

}  // namespace luna::worker
