#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "daemon/ipc/protocol/messages.h"

namespace luna::ipc {

/// The finite limits of a link; the same kind for both ends.
struct LinkOptions {
  /// Bytes that may wait for a peer that does not read; beyond them the link closes.
  std::size_t max_queued_bytes = std::size_t{256} << 20;
  /// How long a worker may take to say hello, which it does before it touches its device. A worker
  /// waits for its welcome for as long as its front lives: it may be a spare one. 0: for ever.
  std::chrono::milliseconds handshake_timeout{60000};
  /// How long a cancelled job may still wait for the worker's word before it is answered without
  /// it.
  std::chrono::milliseconds cancel_grace{10000};
  /// Jobs that may wait for the handshake.
  std::size_t max_waiting_jobs = 4096;
  /// What this end claims to speak; another number is of use to tests only.
  std::uint32_t protocol_version = kProtocolVersion;
};

}  // namespace luna::ipc
