#include "common/local/identify.h"

#include <cerrno>
#include <cstring>

#include <sys/stat.h>

namespace luna {
namespace {

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Result<FileIdentity> identify(const std::string& path) {
  struct stat found{};
  if (stat(path.c_str(), &found) != 0) {
    const int reason = errno;
    const StatusCode code =
        reason == EACCES ? StatusCode::kPermissionDenied : StatusCode::kNotFound;
    return error(code, "model file {}: {}", path, std::strerror(reason));
  }
  if (!S_ISREG(found.st_mode)) {
    return error(StatusCode::kInvalidArgument, "model file {}: expected a regular file, found {}",
                 path, S_ISDIR(found.st_mode) ? "a folder" : "something else");
  }
  return FileIdentity{path,
                      static_cast<std::uint64_t>(found.st_dev),
                      static_cast<std::uint64_t>(found.st_ino),
                      static_cast<std::uint64_t>(found.st_size),
                      nanoseconds(found.st_mtim),
                      nanoseconds(found.st_ctim)};
}

}  // namespace luna
