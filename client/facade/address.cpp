#include "client/facade/address.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace luna::client {
namespace {

constexpr std::string_view kUnix = "unix:";

std::string tmp_folder() { return fmt::format("/tmp/luna-{}", ::geteuid()); }

}  // namespace

std::string runtime_folder() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime && runtime[0] == '/') return std::string(runtime) + "/luna";
  return tmp_folder();
}

std::vector<std::string> user_sockets() {
  std::vector<std::string> sockets = {runtime_folder() + "/lunad.sock"};
  if (runtime_folder() != tmp_folder()) sockets.push_back(tmp_folder() + "/lunad.sock");
  return sockets;
}

Status check_address(const std::string& address) {
  if (address.starts_with(kUnix)) {
    const std::string path = address.substr(kUnix.size());
    if (!path.starts_with('/')) {
      return error(StatusCode::kInvalidArgument,
                   "address '{}': expected an absolute path behind 'unix:'", address);
    }
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      return error(StatusCode::kInvalidArgument,
                   "address '{}': a socket's path has at most {} bytes, this one {}", address,
                   sizeof(sockaddr_un::sun_path) - 1, path.size());
    }
    return {};
  }
  const std::size_t colon = address.rfind(':');
  if (colon != std::string::npos && colon > 0) {
    const std::string_view digits = std::string_view(address).substr(colon + 1);
    int port = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (failure == std::errc() && end == digits.data() + digits.size() && port > 0 &&
        port < 65536) {
      return {};
    }
  }
  return error(StatusCode::kInvalidArgument,
               "address '{}': expected unix:/path/to/socket or host:port", address);
}

std::string socket_path(const std::string& address) {
  return address.starts_with(kUnix) ? address.substr(kUnix.size()) : std::string();
}

bool socket_answers(const std::string& path) {
  sockaddr_un name{};
  if (path.size() >= sizeof name.sun_path) return false;
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const int outcome = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name);
  ::close(fd);
  return outcome == 0;
}

}  // namespace luna::client
