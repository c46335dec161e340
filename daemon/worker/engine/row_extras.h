#pragma once

#include <map>
#include <string>
#include <string_view>

#include <ATen/ATen.h>

#include "common/types/tensor.h"
#include "daemon/worker/engine/request_tensors.h"
#include "daemon/worker/models/denoising_model.h"

namespace luna::worker {

/// What the client itself made for one evaluation beside the context, on the model's device: "y"
/// [1, vector_width] f32 and "c_concat" [1, 1 + C, h, w] in the compute type, of the size of the
/// row's latent. As what ComfyUI's BaseModel._apply_model is called with.
///
/// INVALID_ARGUMENT for another shape or type, for values that are not finite, and for one that the
/// model does not take; UNIMPLEMENTED for another name.
Result<std::map<std::string, at::Tensor>> row_extras(const std::map<std::string, TensorRef>& given,
                                                     std::string_view what,
                                                     const DenoisingModel& model,
                                                     const EntryPlace& place);

}  // namespace luna::worker
