#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

const std::vector<std::int64_t>& TensorDirectory::shape(const std::string& name) const {
  static const std::vector<std::int64_t> kAbsent;
  const auto found = tensors.find(name);
  return found == tensors.end() ? kAbsent : found->second.shape;
}

}  // namespace luna::worker
