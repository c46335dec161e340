#include "common/local/socket.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/local/errno_status.h"

namespace luna {
namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return error(StatusCode::kInvalidArgument, "socket path '{}' has {} bytes; expected 1 to {}",
                 path, path.size(), sizeof(address.sun_path) - 1);
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> stream_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_status(errno, "making a local socket");
  return fd;
}

/// Removes a socket file that nobody listens on.
Status remove_stale_socket(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return errno_status(errno, fmt::format("looking at '{}'", path));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return error(StatusCode::kAlreadyExists, "'{}' exists and is not a socket", path);
  }
  Result<UniqueFd> other = connect_unix(path);
  if (other.ok()) {
    return error(StatusCode::kAlreadyExists, "another process listens on '{}'", path);
  }
  if (other.status().code() != StatusCode::kUnavailable) return other.status();
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return errno_status(errno, fmt::format("removing the stale socket '{}'", path));
  }
  return {};
}

Status wait_for(int fd, short events, Deadline deadline) {
  while (true) {
    int timeout = -1;
    if (!deadline.infinite()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.left()).count();
      timeout = static_cast<int>(std::min<std::int64_t>(left, INT_MAX));
    }
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, timeout);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return errno_status(errno, "waiting for a local socket");
    if (deadline.expired()) {
      return error(StatusCode::kDeadlineExceeded, "nothing happened on a local socket in time");
    }
  }
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return errno_status(errno, "making a pair of local sockets");
  }
  return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Result<UniqueFd> connect_unix(const std::string& path) {
  LUNA_ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  LUNA_ASSIGN_OR_RETURN(UniqueFd fd, stream_socket());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return errno_status(errno, fmt::format("connecting to '{}'", path));
  }
  return fd;
}

Result<UniqueFd> listen_unix(const std::string& path, mode_t mode, int backlog) {
  LUNA_ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  LUNA_RETURN_IF_ERROR(remove_stale_socket(path));
  LUNA_ASSIGN_OR_RETURN(UniqueFd fd, stream_socket());
  // The file takes its permissions from the socket, so that it is never wider open than asked for.
  if (::fchmod(fd.get(), mode) != 0) return errno_status(errno, "setting a socket's permissions");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return errno_status(errno, fmt::format("binding '{}'", path));
  }
  if (::listen(fd.get(), backlog) != 0) {
    return errno_status(errno, fmt::format("listening on '{}'", path));
  }
  return fd;
}

Result<UniqueFd> accept_unix(int listener, Deadline deadline) {
  LUNA_RETURN_IF_ERROR(wait_readable(listener, deadline).with_context("accepting a connection"));
  UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) return errno_status(errno, "accepting a connection");
  return fd;
}

Result<PeerCredentials> peer_credentials(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return errno_status(errno, "reading the credentials of a peer");
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Result<Transfer> send_some(int fd, std::span<const iovec> pieces,
                           std::span<const int> descriptors) {
  if (descriptors.size() > kMaxDescriptors) {
    return error(StatusCode::kInvalidArgument, "{} descriptors in one piece; at most {} travel",
                 descriptors.size(), kMaxDescriptors);
  }
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  if (!descriptors.empty()) {
    std::memset(control, 0, sizeof(control));
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  while (true) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return Transfer{TransferState::kDone, static_cast<std::size_t>(sent)};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Transfer{TransferState::kWouldBlock, 0};
    if (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM) {
      return Transfer{TransferState::kCongested, 0};
    }
    return errno_status(errno, "sending on a local socket");
  }
}

Result<Transfer> receive_some(int fd, std::span<std::byte> buffer,
                              std::vector<UniqueFd>& descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  iovec piece{buffer.data(), buffer.size()};
  msghdr message{};
  ssize_t received = 0;
  do {
    message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    received = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    if (errno == EAGAIN) return Transfer{TransferState::kWouldBlock, 0};
    if (errno == ECONNRESET) return Transfer{TransferState::kEnd, 0};
    return errno_status(errno, "receiving from a local socket");
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int value = -1;
      std::memcpy(&value, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(value);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    return error(StatusCode::kResourceExhausted,
                 "descriptors were lost on a local socket: more than {} came at once, or this "
                 "process may open no more",
                 kMaxDescriptors);
  }
  if (received == 0) return Transfer{TransferState::kEnd, 0};
  return Transfer{TransferState::kDone, static_cast<std::size_t>(received)};
}

Status wait_readable(int fd, Deadline deadline) { return wait_for(fd, POLLIN, deadline); }
Status wait_writable(int fd, Deadline deadline) { return wait_for(fd, POLLOUT, deadline); }

}  // namespace luna
