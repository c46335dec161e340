#include "common/image/whole_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/unique_fd.h"

namespace luna {
namespace {

Status system_error_status(int number, std::string_view doing, const std::string& path) {
  StatusCode code = StatusCode::kInternal;
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      code = StatusCode::kNotFound;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = StatusCode::kPermissionDenied;
      break;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      code = StatusCode::kResourceExhausted;
      break;
    case EEXIST:
      code = StatusCode::kAlreadyExists;
      break;
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      code = StatusCode::kInvalidArgument;
      break;
    default:
      break;
  }
  return error(code, "{} '{}': {}", doing, path, std::generic_category().message(number));
}

Status write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error_status(errno, "cannot write", path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fsync(fd) != 0) return system_error_status(errno, "cannot write", path);
  return {};
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status move_into_place(const std::string& temporary, const std::string& path, Existing existing) {
  const unsigned flags = existing == Existing::kRefuse ? RENAME_NOREPLACE : 0;
  int outcome = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), flags);
  if (outcome != 0 && errno == EINVAL && flags != 0) {
    // File systems without RENAME_NOREPLACE: a hard link refuses an existing name just as well.
    outcome = ::link(temporary.c_str(), path.c_str());
    if (outcome == 0) ::unlink(temporary.c_str());
  }
  if (outcome != 0) return system_error_status(errno, "cannot write", path);
  return {};
}

}  // namespace

Status write_whole_file(const std::string& path, std::string_view bytes, Existing existing) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0) {
    if (S_ISDIR(found.st_mode)) {
      return error(StatusCode::kInvalidArgument, "cannot write '{}': it is a folder", path);
    }
    if (existing == Existing::kRefuse) {
      return error(StatusCode::kAlreadyExists, "'{}' is there already", path);
    }
  }
  static std::atomic<unsigned> counter{0};
  const std::string temporary =
      fmt::format("{}.{}-{}.part", path, ::getpid(), counter.fetch_add(1));
  UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) return system_error_status(errno, "cannot write", path);
  Status status = write_all(file.get(), bytes, path);
  file.reset();
  if (status.ok()) status = move_into_place(temporary, path, existing);
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  const UniqueFd folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(folder.get());
  return {};
}

Result<std::string> read_whole_file(const std::string& path, std::size_t max_bytes) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return system_error_status(errno, "cannot read", path);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return system_error_status(errno, "cannot read", path);
  if (!S_ISREG(info.st_mode)) {
    return error(StatusCode::kInvalidArgument, "cannot read '{}': expected a regular file", path);
  }
  if (static_cast<std::size_t>(info.st_size) > max_bytes) {
    return error(StatusCode::kInvalidArgument, "cannot read '{}': it has {} bytes, the limit is {}",
                 path, info.st_size, max_bytes);
  }
  std::string content(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t have = 0;
  while (have < content.size()) {
    const ssize_t n = ::read(file.get(), content.data() + have, content.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error_status(errno, "cannot read", path);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  content.resize(have);
  return content;
}

}  // namespace luna
