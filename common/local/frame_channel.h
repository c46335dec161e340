#pragma once

#include <vector>

#include "common/base/deadline.h"
#include "common/base/status.h"
#include "common/base/unique_fd.h"
#include "common/local/frame.h"

namespace luna {

/// Frames over a local socket, one call after the other, with a deadline on each; for one thread at
/// a time. After an error the stream is of no further use.
class FrameChannel {
 public:
  FrameChannel(UniqueFd fd, std::uint16_t version, FrameLimits limits = {});

  Status send(std::uint16_t message, std::string body, std::vector<BytesPtr> attachments,
              Deadline deadline);
  /// UNAVAILABLE when the peer closed the stream.
  Result<Frame> receive(Deadline deadline);
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::uint16_t version_;
  FrameLimits limits_;
  FrameDecoder decoder_;
  std::vector<std::byte> buffer_;
};

}  // namespace luna
