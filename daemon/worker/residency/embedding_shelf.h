#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/local/identify.h"

namespace luna::worker {

/// Textual-inversion embeddings by the name that a prompt uses, searched in the given folders in
/// order. What was read is kept, up to a limit, until the file changes. Thread-safe.
class EmbeddingShelf {
 public:
  using Vectors = std::vector<std::vector<float>>;

  explicit EmbeddingShelf(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  /// The vectors of `name` or `name`.safetensors for an encoder of this width. NOT_FOUND when no
  /// folder has it or the name leads out of the folders (symbolic links are followed and checked
  /// too); else why it cannot be read.
  Result<Vectors> find(std::string_view name, std::size_t width);

 private:
  Result<std::string> locate(std::string_view name) const;

  const std::vector<std::string> folders_;
  std::mutex mutex_;
  std::map<std::pair<FileIdentity, std::size_t>, Vectors> known_;
  std::size_t known_floats_ = 0;
};

}  // namespace luna::worker
