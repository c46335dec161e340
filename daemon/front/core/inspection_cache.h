#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/types/model.h"

namespace luna::front {

/// Tells one state of a file from another without reading it.
struct FileIdentity {
  std::string path;
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  auto operator<=>(const FileIdentity&) const = default;

  /// NOT_FOUND when the file is gone.
  static Result<FileIdentity> of(const std::string& path);
};

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
