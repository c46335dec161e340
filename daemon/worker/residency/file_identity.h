#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "common/base/status.h"

namespace luna::worker {

/// What tells a file that was read from the one that lies there now. A file rewritten in place,
/// replaced or touched gets another identity; the bytes behind an equal identity are taken to be
/// the same.
struct FileIdentity {
  std::string path;
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  auto operator<=>(const FileIdentity&) const = default;
};

/// NOT_FOUND when there is no such file, INVALID_ARGUMENT when it is not a regular file,
/// PERMISSION_DENIED.
Result<FileIdentity> identify(const std::string& path);

}  // namespace luna::worker
