#include "common/types/host_weights.h"

namespace luna {

Status HostWeights::validate() const {
  if (!bytes) return error(StatusCode::kInvalidArgument, "weights without bytes");
  const std::uint64_t size = bytes->view().size();
  for (const HostTensor& tensor : tensors) {
    LUNA_RETURN_IF_ERROR(tensor.spec.validate().with_context(tensor.name));
    if (tensor.offset > size || tensor.spec.byte_size() > size - tensor.offset) {
      return error(StatusCode::kInvalidArgument,
                   "tensor '{}' of {} bytes from {} on lies outside of the {} bytes of its weights",
                   tensor.name, tensor.spec.byte_size(), tensor.offset, size);
    }
  }
  return {};
}

}  // namespace luna
