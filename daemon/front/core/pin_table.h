#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace luna::front {

/// The model files that stay loaded, by absolute path: kept here so that they outlive workers. Not
/// thread-safe.
class PinTable {
 public:
  explicit PinTable(std::size_t limit) : limit_(limit) {}

  /// Harmless for one that is pinned. RESOURCE_EXHAUSTED when there are as many as may be.
  Status pin(const std::string& path);
  /// NOT_FOUND when it is not pinned.
  Status unpin(const std::string& path);
  bool contains(const std::string& path) const { return paths_.contains(path); }
  std::vector<std::string> list() const { return {paths_.begin(), paths_.end()}; }

 private:
  const std::size_t limit_;
  std::set<std::string> paths_;
};

}  // namespace luna::front
