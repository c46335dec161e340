// Whatever bytes a peer sends: the frame decoder and the message decoder refuse them with a Status
// or understand them, and what was understood survives another trip.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/local/frame.h"
#include "daemon/ipc/protocol/codec.h"

namespace luna::ipc {
namespace {

void check_body(std::string_view body, std::vector<BytesPtr> attachments) {
  const Result<Message> message = decode(body, std::move(attachments));
  if (!message.ok()) return;
  EncodedMessage again = encode(*message);
  const Result<Message> back = decode(again.body, std::move(again.attachments));
  if (!back.ok()) die("an encoded message was refused: " + back.status().to_string());
}

void check_stream(std::span<const std::byte> stream, std::size_t piece) {
  FrameLimits limits;
  limits.body_bytes = limits.inline_bytes = std::size_t{1} << 20;
  FrameDecoder decoder(kProtocolVersion, limits);
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    const std::size_t size = std::min(piece, stream.size() - at);
    if (!decoder.feed(stream.subspan(at, size)).ok()) return;
    while (std::optional<Frame> frame = decoder.next()) {
      Result<std::vector<BytesPtr>> attachments = take_attachments(*frame);
      if (attachments.ok()) check_body(frame->body, std::move(attachments).value());
    }
  }
}

}  // namespace
}  // namespace luna::ipc

/// The first byte says in pieces of how many bytes the rest arrives; 0: the rest is the body of one
/// message.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] == 0) {
    luna::ipc::check_body({reinterpret_cast<const char*>(rest.data()), rest.size()},
                          {luna::bytes_from("one"), luna::bytes_from("two")});
  } else {
    luna::ipc::check_stream(rest, data[0]);
  }
  return 0;
}
