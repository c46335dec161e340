#pragma once

#include <memory>

#include "common/base/status.h"
#include "common/base/unique_fd.h"
#include "daemon/ipc/session/link_options.h"

namespace luna::ipc {

enum class PeerKind { kThread, kProcess };

/// An echo worker at the other end of a socket.
class Peer {
 public:
  static std::unique_ptr<Peer> start(PeerKind kind, LinkOptions options = {});
  virtual ~Peer() = default;

  /// This end of the socket; once.
  UniqueFd take_socket() { return std::move(socket_); }
  /// Ends it as SIGKILL does: nothing more is written, the socket closes.
  virtual void kill() = 0;
  /// Waits for its end, and returns why its link closed (kOk when it closed it itself).
  virtual StatusCode join() = 0;

 protected:
  explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}

 private:
  UniqueFd socket_;
};

}  // namespace luna::ipc
