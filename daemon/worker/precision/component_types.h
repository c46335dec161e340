#pragma once

#include <ATen/ATen.h>

#include "common/types/dtype.h"
#include "common/types/model.h"

namespace luna::worker {

/// How a component's floating weights are kept, and the type its layers compute in.
struct ComponentTypes {
  at::ScalarType storage = at::kFloat;
  at::ScalarType compute = at::kFloat;
  bool operator==(const ComponentTypes&) const = default;
};

/// The types of a component in `slot` whose file mostly holds `file_type`.
///
/// kAuto: f32 on CPU; on a GPU the file's own 16-bit type, else bf16. Text encoders compute in f32
/// over weights rounded to the storage type, as ComfyUI's do (clip_l, clip_g, t5, llm). VAEs never
/// compute in f16, in which SDXL's overflows: kAuto is bf16 for them on a GPU, as in ComfyUI, and
/// with kF16 they compute in f32 over halves. On CPU f16 is a storage type only for all: few
/// processors have half arithmetic.
ComponentTypes component_types(Precision precision, DType file_type, Slot slot, at::Device device);

}  // namespace luna::worker
