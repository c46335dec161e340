#include "daemon/front/api/unix_listener.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace luna::front {
namespace {

enum class Peer { kListening, kGone, kUnclear };

/// Does anybody accept connections at `address`?
Peer probe(const sockaddr_un& address) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Peer::kUnclear;
  const int failed = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int why = errno;
  ::close(fd);
  if (failed == 0 || why == EAGAIN) return Peer::kListening;
  return why == ECONNREFUSED || why == ENOENT ? Peer::kGone : Peer::kUnclear;
}

}  // namespace

Status prepare_socket_path(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return error(StatusCode::kInvalidArgument, "socket path '{}': expected 1 to {} bytes, found {}",
                 path, sizeof(address.sun_path) - 1, path.size());
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code failure;
  if (!folder.empty() && !std::filesystem::exists(folder, failure)) {
    const PrivateFiles only_ours;
    std::filesystem::create_directories(folder, failure);
    if (failure) {
      return error(StatusCode::kFailedPrecondition, "cannot make the socket's folder {}: {}",
                   folder.string(), failure.message());
    }
  }

  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode)) {
    return error(StatusCode::kAlreadyExists, "{} exists and is no socket", path);
  }
  switch (probe(address)) {
    case Peer::kListening:
      return error(StatusCode::kAlreadyExists, "another lunad listens on {}", path);
    case Peer::kUnclear:
      return error(StatusCode::kAlreadyExists, "{} exists and cannot be reached: {}", path,
                   std::strerror(errno));
    case Peer::kGone:
      break;
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return error(StatusCode::kFailedPrecondition, "cannot remove the stale socket {}: {}", path,
                 std::strerror(errno));
  }
  return {};
}

PrivateFiles::PrivateFiles() : before_(::umask(0077)) {}
PrivateFiles::~PrivateFiles() { ::umask(before_); }

}  // namespace luna::front
