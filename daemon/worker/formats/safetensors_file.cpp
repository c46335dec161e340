#include "daemon/worker/formats/safetensors_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace luna::worker {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kLargestRead = std::size_t{1} << 30;

std::string errno_text(int number) { return std::generic_category().message(number); }

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

Result<FileState> identity_of(int fd, const std::string& path) {
  struct stat status{};
  if (fstat(fd, &status) != 0)
    return error(StatusCode::kDataLoss, "{}: fstat: {}", path, errno_text(errno));
  if (!S_ISREG(status.st_mode))
    return error(StatusCode::kInvalidArgument, "{}: expected a regular file, found {}", path,
                 S_ISDIR(status.st_mode) ? "a folder" : "a device, socket or pipe");
  return FileState{.device = status.st_dev,
                   .inode = status.st_ino,
                   .size = static_cast<std::uint64_t>(status.st_size),
                   .modified = nanoseconds(status.st_mtim),
                   .changed = nanoseconds(status.st_ctim)};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return error(StatusCode::kInvalidArgument, "'{}' is not a file name", path.c_str());
  // O_NONBLOCK: opening a pipe without a writer would wait for one.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    const int number = errno;
    const StatusCode code = number == EACCES || number == EPERM ? StatusCode::kPermissionDenied
                            : number == EMFILE || number == ENFILE || number == ENOMEM
                                ? StatusCode::kResourceExhausted
                                : StatusCode::kNotFound;
    return error(code, "{}: {}", path, errno_text(number));
  }
  SafetensorsFile file(path, std::move(fd));
  LUNA_ASSIGN_OR_RETURN(file.identity_, identity_of(file.fd_.get(), path));
  LUNA_RETURN_IF_ERROR(file.read_header());
  return file;
}

Status SafetensorsFile::read_header() {
  if (identity_.size < kLengthBytes) {
    return error(StatusCode::kInvalidArgument,
                 "{}: not a safetensors file: {} bytes, expected more than {}", path_,
                 identity_.size, kLengthBytes);
  }
  std::array<std::byte, kLengthBytes> prefix{};
  LUNA_RETURN_IF_ERROR(read_at(0, prefix, "the header's length"));
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    length |= std::to_integer<std::uint64_t>(prefix[i]) << (8 * i);
  if (length > kMaxSafetensorsHeader) {
    return error(StatusCode::kInvalidArgument,
                 "{}: not a safetensors file: its header would have {} bytes, expected at most {}",
                 path_, length, kMaxSafetensorsHeader);
  }
  if (length > identity_.size - kLengthBytes) {
    return error(StatusCode::kDataLoss,
                 "{}: the header has {} bytes, the file holds {} more; is it truncated?", path_,
                 length, identity_.size - kLengthBytes);
  }
  std::string json(length, '\0');
  LUNA_RETURN_IF_ERROR(read_at(
      kLengthBytes, std::as_writable_bytes(std::span(json.data(), json.size())), "the header"));
  data_begin_ = kLengthBytes + length;
  auto header = parse_safetensors_header(json, identity_.size - data_begin_);
  // A file that is being written reads like a damaged one; say which it is.
  LUNA_RETURN_IF_ERROR(check_unchanged());
  if (!header.ok()) return header.status().with_context(path_);
  header_ = std::move(header).value();
  return {};
}

Status SafetensorsFile::read(const SafetensorsEntry& entry, std::uint64_t offset,
                             std::span<std::byte> out) const {
  if (offset > entry.end - entry.begin || out.size() > entry.end - entry.begin - offset) {
    return error(StatusCode::kInternal,
                 "{}: {} bytes from {} on were asked of tensor '{}', which has {}", path_,
                 out.size(), offset, entry.name, entry.end - entry.begin);
  }
  return read_at(data_begin_ + entry.begin + offset, out, entry.name);
}

Status SafetensorsFile::read_at(std::uint64_t position, std::span<std::byte> out,
                                std::string_view what) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        ::pread(fd_.get(), out.data() + done, std::min(out.size() - done, kLargestRead),
                static_cast<off_t>(position + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return error(StatusCode::kDataLoss, "{}: reading '{}' at byte {}: {}", path_, what,
                   position + done, errno_text(errno));
    }
    if (count == 0) {
      return error(
          StatusCode::kDataLoss,
          "{}: '{}' ends at byte {}, the file already at {}: it was truncated while it was read",
          path_, what, position + out.size(), position + done);
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Status SafetensorsFile::check_unchanged() const {
  LUNA_ASSIGN_OR_RETURN(const FileState now, identity_of(fd_.get(), path_));
  if (now == identity_) return {};
  if (now.size != identity_.size) {
    return error(StatusCode::kDataLoss,
                 "{}: changed while it was read: expected {} bytes, found {}", path_,
                 identity_.size, now.size);
  }
  return error(StatusCode::kDataLoss,
               "{}: changed while it was read: expected the state of {} ns, found one of {} ns",
               path_, std::max(identity_.modified, identity_.changed),
               std::max(now.modified, now.changed));
}

}  // namespace luna::worker
