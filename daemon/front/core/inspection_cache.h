#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/types/file_identity.h"
#include "common/types/model.h"

namespace luna::front {

/// What detection found in the files that were inspected last. Not thread-safe.
class InspectionCache {
 public:
  static constexpr std::size_t kKept = 4096;

  std::optional<std::vector<ComponentInfo>> find(const FileIdentity& file);
  void put(const FileIdentity& file, std::vector<ComponentInfo> components);

 private:
  using Entry = std::pair<FileIdentity, std::vector<ComponentInfo>>;
  std::list<Entry> recent_;  ///< the last used first
  std::map<FileIdentity, std::list<Entry>::iterator> index_;
};

}  // namespace luna::front
