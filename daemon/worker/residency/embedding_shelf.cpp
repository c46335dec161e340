#include "daemon/worker/residency/embedding_shelf.h"

#include <algorithm>
#include <filesystem>

#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/weights/embedding_file.h"

namespace luna::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNameBytes = 1024;
constexpr std::size_t kMaxKnownFloats = std::size_t{16} << 20;

bool lies_below(const fs::path& file, const fs::path& folder) {
  const auto parts = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return parts.first == folder.end();
}

}  // namespace

Result<std::string> EmbeddingShelf::locate(std::string_view name) const {
  if (name.empty() || name.size() > kMaxNameBytes || name.find('\0') != std::string_view::npos) {
    return error(StatusCode::kNotFound, "embedding: expected a name of 1..{} bytes, found {}",
                 kMaxNameBytes, name.size());
  }
  for (const std::string& folder : folders_) {
    std::error_code failed;
    const fs::path root = fs::canonical(folder, failed);
    if (failed) continue;
    for (const char* extension : {"", ".safetensors", ".pt", ".bin"}) {
      const fs::path file = fs::canonical(root / (std::string(name) + extension), failed);
      if (!failed && lies_below(file, root) && fs::is_regular_file(file, failed))
        return file.string();
    }
  }
  return error(StatusCode::kNotFound, "embedding '{}': none of the {} embedding folders has it",
               name, folders_.size());
}

Result<EmbeddingShelf::Vectors> EmbeddingShelf::find(std::string_view name, std::size_t width) {
  LUNA_ASSIGN_OR_RETURN(const std::string path, locate(name));
  LUNA_ASSIGN_OR_RETURN(FileIdentity file, identify(path));
  const std::pair key(std::move(file), width);
  {
    std::lock_guard lock(mutex_);
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
  }
  LUNA_ASSIGN_OR_RETURN(Vectors vectors, torch_call("reading embedding " + path,
                                                    [&] { return read_embedding(path, width); }));
  std::lock_guard lock(mutex_);
  if (known_floats_ > kMaxKnownFloats) {
    known_.clear();
    known_floats_ = 0;
  }
  known_floats_ += vectors.size() * width;
  known_.emplace(key, vectors);
  return vectors;
}

}  // namespace luna::worker
