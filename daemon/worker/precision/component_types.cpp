#include "daemon/worker/precision/component_types.h"

namespace luna::worker {
namespace {

at::ScalarType storage_type(Precision precision, DType file_type, Slot slot, at::Device device) {
  switch (precision) {
    case Precision::kF32:
      return at::kFloat;
    case Precision::kBF16:
      return at::kBFloat16;
    case Precision::kF16:
      return at::kHalf;
    case Precision::kAuto:
      break;
  }
  if (device.is_cpu()) return at::kFloat;
  return file_type == DType::kF16 && slot != Slot::kVae ? at::kHalf : at::kBFloat16;
}

bool computes_in_f32(Slot slot) {
  return slot == Slot::kClipL || slot == Slot::kClipG || slot == Slot::kT5 || slot == Slot::kLlm;
}

}  // namespace

ComponentTypes component_types(Precision precision, DType file_type, Slot slot, at::Device device) {
  const at::ScalarType storage = storage_type(precision, file_type, slot, device);
  const bool half_in_f32 = device.is_cpu() || slot == Slot::kVae;
  const bool f32 = computes_in_f32(slot) || (half_in_f32 && storage == at::kHalf);
  return {storage, f32 ? at::kFloat : storage};
}

}  // namespace luna::worker
