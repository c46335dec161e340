#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace luna {

/// Tells one state of a file from another without reading it; times in nanoseconds. A file that is
/// rewritten in place, replaced or touched gets another identity; the bytes behind an equal
/// identity are taken to be the same. identify() (common/local) makes one.
///
/// Of a model of several files (identify_model(), common/model_files): the sum of their sizes,
/// their latest times, and `parts`, hex SHA-256 over the identities of all; else `parts` is empty.
struct FileIdentity {
  std::string path;
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  std::string parts = {};
  auto operator<=>(const FileIdentity&) const = default;
};

}  // namespace luna
