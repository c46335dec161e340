#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

WeightStore::WeightStore(Tensors tensors, std::map<std::string, std::string> metadata,
                         std::string content_hash)
    : tensors_(std::move(tensors)),
      metadata_(std::move(metadata)),
      content_hash_(std::move(content_hash)) {}

const at::Tensor* WeightStore::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::uint64_t WeightStore::bytes() const {
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : tensors_) total += tensor.nbytes();
  return total;
}

}  // namespace luna::worker
