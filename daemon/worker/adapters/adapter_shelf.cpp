#include "daemon/worker/adapters/adapter_shelf.h"

#include <algorithm>
#include <utility>

namespace luna::worker {

void AdapterShelf::drop(std::list<Kept>::iterator kept) {
  bytes_ -= kept->adapter->bytes;
  kept_.erase(kept);
}

Result<std::shared_ptr<const AdapterFile>> AdapterShelf::get(const FileIdentity& file) {
  const auto known = std::ranges::find(kept_, file, &Kept::file);
  if (known != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, known);
    return known->adapter;
  }
  ++reads_;
  LUNA_ASSIGN_OR_RETURN(AdapterFile read, read_adapter(file.path));
  LUNA_ASSIGN_OR_RETURN(const FileIdentity after, identify_adapter(file.path));
  if (after != file) {
    return error(StatusCode::kDataLoss, "{}: it changed while it was read", file.path);
  }
  auto adapter = std::make_shared<const AdapterFile>(std::move(read));
  const auto older =
      std::ranges::find(kept_, file.path, [](const Kept& kept) { return kept.file.path; });
  if (older != kept_.end()) drop(older);
  if (adapter->bytes > limit_) return adapter;
  while (bytes_ + adapter->bytes > limit_) drop(std::prev(kept_.end()));
  bytes_ += adapter->bytes;
  kept_.push_front({file, adapter});
  return adapter;
}

}  // namespace luna::worker
