#pragma once

#include <functional>
#include <memory>

#include "common/base/status.h"
#include "daemon/ipc/protocol/codec.h"
#include "daemon/ipc/session/link_options.h"
#include "daemon/ipc/transport/frame_socket.h"

namespace luna::ipc {

/// The protocol's messages over one socket, and the part of the handshake that both ends share: the
/// peer must speak this protocol version, and must say its first message within the handshake
/// timeout, if there is one.
class MessageChannel : public std::enable_shared_from_this<MessageChannel> {
 public:
  struct Handlers {
    std::function<void(Message)> on_message;
    std::function<void(Status)> on_closed;  ///< once, and last; ok when this side closed it
  };

  static std::shared_ptr<MessageChannel> adopt(boost::asio::io_context& io, int fd,
                                               LinkOptions options);
  void start(Handlers handlers);

  /// Thread-safe. RESOURCE_EXHAUSTED: too large, nothing was sent. UNAVAILABLE: closed, or closing
  /// now because too much waits for the peer.
  Status send(EncodedMessage message);
  Status send(const Message& message) { return send(encode(message)); }
  void close(Status reason) { socket_->close(std::move(reason)); }
  void close_when_flushed() { socket_->close_when_flushed(); }

  /// Closes for a message that has no place here: INVALID_ARGUMENT names it and what was expected.
  void refuse(const Message& found, std::string_view expected);
  /// Closes with FAILED_PRECONDITION, naming both versions, unless they agree.
  bool agree_on_version(std::uint32_t peer_version);

  const LinkOptions& options() const { return options_; }
  const FrameSocket::Executor& executor() const { return socket_->executor(); }

  MessageChannel(std::shared_ptr<FrameSocket> socket, LinkOptions options);

 private:
  void on_frame(Frame frame, const Handlers& handlers);

  std::shared_ptr<FrameSocket> socket_;
  LinkOptions options_;
  boost::asio::steady_timer handshake_timer_;
  bool heard_ = false;    ///< the peer's first message came
  bool refused_ = false;  ///< what still comes is not looked at
};

}  // namespace luna::ipc
