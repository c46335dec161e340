#include "daemon/worker/residency/restorable_models.h"

namespace luna::worker {

void RestorableModels::remember(const std::string& path, Slot slot, Precision precision) {
  std::lock_guard lock(mutex_);
  if (models_.size() == kMost) models_.pop_front();
  models_.emplace_back(path, slot, precision);
}

void RestorableModels::forget(const std::string& path, Slot slot, Precision precision) {
  std::lock_guard lock(mutex_);
  std::erase(models_, std::tuple(path, slot, precision));
}

void RestorableModels::forget(const std::string& path, std::optional<Slot> slot) {
  std::lock_guard lock(mutex_);
  std::erase_if(models_, [&](const auto& model) {
    return std::get<std::string>(model) == path && (!slot || std::get<Slot>(model) == *slot);
  });
}

std::vector<std::pair<Slot, Precision>> RestorableModels::of(const std::string& path) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<Slot, Precision>> found;
  for (const auto& [known, slot, precision] : models_) {
    if (known == path) found.emplace_back(slot, precision);
  }
  return found;
}

}  // namespace luna::worker
