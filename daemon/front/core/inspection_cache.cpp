#include "daemon/front/core/inspection_cache.h"

namespace luna::front {

std::optional<std::vector<ComponentInfo>> InspectionCache::find(const FileIdentity& file) {
  const auto found = index_.find(file);
  if (found == index_.end()) return std::nullopt;
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->second;
}

void InspectionCache::put(const FileIdentity& file, std::vector<ComponentInfo> components) {
  if (const auto found = index_.find(file); found != index_.end()) {
    found->second->second = std::move(components);
    recent_.splice(recent_.begin(), recent_, found->second);
    return;
  }
  recent_.emplace_front(file, std::move(components));
  index_[file] = recent_.begin();
  if (recent_.size() > kKept) {
    index_.erase(recent_.back().first);
    recent_.pop_back();
  }
}

}  // namespace luna::front
