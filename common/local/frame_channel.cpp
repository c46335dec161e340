#include "common/local/frame_channel.h"

#include <array>
#include <thread>

namespace luna {

FrameChannel::FrameChannel(UniqueFd fd, std::uint16_t version, FrameLimits limits)
    : fd_(std::move(fd)),
      version_(version),
      limits_(limits),
      decoder_(version, limits),
      buffer_(64 * 1024) {}

Status FrameChannel::send(std::uint16_t message, std::string body,
                          std::vector<BytesPtr> attachments, Deadline deadline) {
  LUNA_ASSIGN_OR_RETURN(
      const WireFrame wire,
      WireFrame::lay_out({version_, message, std::move(body), std::move(attachments)}, limits_));
  std::array<iovec, 64> pieces;
  for (std::size_t sent = 0; sent < wire.size();) {
    const std::size_t count = wire.pieces_from(sent, pieces);
    LUNA_ASSIGN_OR_RETURN(const Transfer transfer,
                          send_some(fd_.get(), std::span(pieces).first(count),
                                    sent == 0 ? wire.descriptors() : std::span<const int>()));
    sent += transfer.bytes;
    if (transfer.state == TransferState::kWouldBlock) {
      LUNA_RETURN_IF_ERROR(wait_writable(fd_.get(), deadline));
    } else if (transfer.state == TransferState::kCongested) {
      if (deadline.expired()) {
        return error(StatusCode::kDeadlineExceeded, "too many descriptors stayed under way");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return {};
}

Result<Frame> FrameChannel::receive(Deadline deadline) {
  while (true) {
    if (std::optional<Frame> frame = decoder_.next()) return std::move(*frame);
    std::vector<UniqueFd> descriptors;
    LUNA_ASSIGN_OR_RETURN(const Transfer transfer, receive_some(fd_.get(), buffer_, descriptors));
    switch (transfer.state) {
      case TransferState::kDone:
        LUNA_RETURN_IF_ERROR(
            decoder_.feed(std::span(buffer_).first(transfer.bytes), std::move(descriptors)));
        break;
      case TransferState::kEnd:
        return error(StatusCode::kUnavailable, "the peer closed the stream{}",
                     decoder_.at_boundary() ? "" : " in the middle of a frame");
      default:
        LUNA_RETURN_IF_ERROR(wait_readable(fd_.get(), deadline));
    }
  }
}

}  // namespace luna
