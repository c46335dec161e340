#include "daemon/front/core/inspection_cache.h"

#include <cerrno>
#include <cstring>

#include <sys/stat.h>

namespace luna::front {

Result<FileIdentity> FileIdentity::of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return error(StatusCode::kNotFound, "cannot look at '{}': {}", path, std::strerror(errno));
  }
  const auto nanoseconds = [](const timespec& t) {
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
  };
  return FileIdentity{path,
                      static_cast<std::uint64_t>(info.st_dev),
                      static_cast<std::uint64_t>(info.st_ino),
                      static_cast<std::uint64_t>(info.st_size),
                      nanoseconds(info.st_mtim),
                      nanoseconds(info.st_ctim)};
}

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
