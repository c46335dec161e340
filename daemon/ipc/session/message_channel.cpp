#include "daemon/ipc/session/message_channel.h"

#include <boost/asio/post.hpp>

#include "daemon/ipc/protocol/message_name.h"

namespace luna::ipc {

MessageChannel::MessageChannel(std::shared_ptr<FrameSocket> socket, LinkOptions options)
    : socket_(std::move(socket)), options_(options), handshake_timer_(socket_->executor()) {}

std::shared_ptr<MessageChannel> MessageChannel::adopt(boost::asio::io_context& io, int fd,
                                                      LinkOptions options) {
  FrameSocketOptions socket_options;
  socket_options.version = static_cast<std::uint16_t>(options.protocol_version);
  socket_options.max_queued_bytes = options.max_queued_bytes;
  return std::make_shared<MessageChannel>(FrameSocket::adopt(io, UniqueFd(fd), socket_options),
                                          options);
}

void MessageChannel::start(Handlers handlers) {
  boost::asio::post(executor(), [self = shared_from_this()] {
    if (self->heard_ || self->options_.handshake_timeout.count() == 0) return;
    self->handshake_timer_.expires_after(self->options_.handshake_timeout);
    self->handshake_timer_.async_wait(
        [weak = self->weak_from_this()](boost::system::error_code failure) {
          const auto me = weak.lock();
          if (failure || !me || me->heard_) return;
          me->close(error(StatusCode::kDeadlineExceeded, "the peer said nothing within {} ms",
                          me->options_.handshake_timeout.count()));
        });
  });
  const auto shared = std::make_shared<const Handlers>(std::move(handlers));
  socket_->start({[self = shared_from_this(), shared](Frame frame) {
                    self->on_frame(std::move(frame), *shared);
                  },
                  [self = shared_from_this(), shared](const Status& reason) {
                    self->refused_ = true;
                    self->handshake_timer_.cancel();
                    shared->on_closed(reason);
                  }});
}

Status MessageChannel::send(EncodedMessage message) {
  const auto number = static_cast<std::uint16_t>(static_cast<unsigned char>(message.body[0]));
  return socket_->send(number, std::move(message.body), std::move(message.attachments));
}

void MessageChannel::refuse(const Message& found, std::string_view expected) {
  refused_ = true;
  close(error(StatusCode::kInvalidArgument, "the peer broke the protocol: expected {}, found {}",
              expected, message_name(found.index())));
}

bool MessageChannel::agree_on_version(std::uint32_t peer_version) {
  if (peer_version == options_.protocol_version) return true;
  refused_ = true;
  close(error(StatusCode::kFailedPrecondition,
              "the peer speaks protocol version {}, this side version {}: both must be of one "
              "installation",
              peer_version, options_.protocol_version));
  return false;
}

void MessageChannel::on_frame(Frame frame, const Handlers& handlers) {
  if (refused_) return;
  if (!heard_) {
    heard_ = true;
    handshake_timer_.cancel();
  }
  Result<std::vector<BytesPtr>> attachments = take_attachments(frame);
  Result<Message> message = attachments.ok() ? decode(frame.body, std::move(attachments).value())
                                             : Result<Message>(attachments.status());
  if (message.ok() && message->index() != frame.message) {
    message = error(StatusCode::kInvalidArgument, "a frame of message {} holds {}", frame.message,
                    message_name(message->index()));
  }
  if (!message.ok()) {
    refused_ = true;
    close(message.status().with_context("the peer broke the protocol"));
    return;
  }
  handlers.on_message(std::move(message).value());
}

}  // namespace luna::ipc
