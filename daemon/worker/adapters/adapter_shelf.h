#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "common/local/identify.h"
#include "daemon/worker/adapters/adapter_file.h"

namespace luna::worker {

/// Parsed adapter files in memory, the longest unused leaving first beyond the limit. A file is
/// looked at (stat) with every use: a changed one is read anew. Not thread-safe. Identities are
/// identify_adapter()'s.
class AdapterShelf {
 public:
  static constexpr std::uint64_t kDefaultLimit = std::uint64_t{2} << 30;
  explicit AdapterShelf(std::uint64_t limit_bytes = kDefaultLimit) : limit_(limit_bytes) {}

  /// Of the state of the file that `file` says, or DATA_LOSS: it changed meanwhile. What
  /// read_adapter() answers.
  Result<std::shared_ptr<const AdapterFile>> get(const FileIdentity& file);

  std::uint64_t bytes() const { return bytes_; }
  /// Files that were read.
  std::uint64_t reads() const { return reads_; }

 private:
  struct Kept {
    FileIdentity file;
    std::shared_ptr<const AdapterFile> adapter;
  };
  void drop(std::list<Kept>::iterator kept);

  const std::uint64_t limit_;
  std::uint64_t bytes_ = 0, reads_ = 0;
  std::list<Kept> kept_;  ///< the last used first
};

}  // namespace luna::worker
