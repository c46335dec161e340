#include "daemon/front/core/pin_table.h"

namespace luna::front {

Status PinTable::pin(const std::string& path) {
  if (paths_.size() >= limit_ && !paths_.contains(path)) {
    return error(StatusCode::kResourceExhausted,
                 "{} files are pinned, and [limits] pinned_files allows {}", paths_.size(), limit_);
  }
  paths_.insert(path);
  return {};
}

Status PinTable::unpin(const std::string& path) {
  if (paths_.erase(path) > 0) return {};
  return error(StatusCode::kNotFound, "{} is not pinned", path);
}

}  // namespace luna::front
