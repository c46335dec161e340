#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>
#include <sys/uio.h>

#include "common/base/deadline.h"
#include "common/base/status.h"
#include "common/base/unique_fd.h"

namespace luna {

/// Two connected AF_UNIX stream sockets, close-on-exec and blocking.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// Connects to the socket file `path` (at most 107 bytes). NOT_FOUND when there is none,
/// UNAVAILABLE when nobody listens on it.
Result<UniqueFd> connect_unix(const std::string& path);

/// Listens on `path` with the permissions `mode`. A socket file that nobody listens on any more is
/// replaced; ALREADY_EXISTS when somebody does, or when the file is something else.
Result<UniqueFd> listen_unix(const std::string& path, mode_t mode = 0600, int backlog = 64);

/// The next connection, close-on-exec and blocking. DEADLINE_EXCEEDED when none comes in time.
Result<UniqueFd> accept_unix(int listener, Deadline deadline);

/// Who is at the other end, as the kernel noted it when the connection was made.
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
Result<PeerCredentials> peer_credentials(int fd);

/// Most descriptors that travel with one piece of data.
inline constexpr std::size_t kMaxDescriptors = 64;

enum class TransferState {
  kDone,        ///< some bytes went; see `bytes`
  kWouldBlock,  ///< none now; wait until the socket is ready
  kCongested,   ///< none now, and waiting for readiness does not help (too many descriptors under
                ///< way): try later
  kEnd,         ///< receiving only: the peer closed its end, whether or not it had read everything
};
struct Transfer {
  TransferState state = TransferState::kDone;
  std::size_t bytes = 0;
};

/// One sendmsg without blocking or SIGPIPE; `descriptors` (at most kMaxDescriptors) go with the
/// first byte.
Result<Transfer> send_some(int fd, std::span<const iovec> pieces, std::span<const int> descriptors);

/// One recvmsg without blocking. Descriptors that came are appended to `descriptors`,
/// close-on-exec. RESOURCE_EXHAUSTED when some were lost (more than kMaxDescriptors came, or this
/// process may open no more).
Result<Transfer> receive_some(int fd, std::span<std::byte> buffer,
                              std::vector<UniqueFd>& descriptors);

/// Waits until `fd` can be read (or written). DEADLINE_EXCEEDED when it cannot in time.
Status wait_readable(int fd, Deadline deadline);
Status wait_writable(int fd, Deadline deadline);

}  // namespace luna
