#include "daemon/front/local/local_connection.h"

#include <utility>

#include <boost/asio/dispatch.hpp>

#include "common/log/log.h"
#include "common/wire/status_mapping.h"

namespace luna::front {

FrameLimits LocalConnection::frame_limits() {
  return {.body_bytes = std::size_t{1} << 20, .inline_bytes = 0, .attachments = kMaxDescriptors};
}

void LocalConnection::start(std::chrono::milliseconds introduction_time,
                            std::function<void()> on_closed) {
  on_closed_ = std::move(on_closed);
  const std::weak_ptr<LocalConnection> weak = weak_from_this();
  dialogue_ = std::make_unique<LocalDialogue>(desk_, steps_, [weak] {
    if (const auto self = weak.lock()) {
      self->close(Status(StatusCode::kUnavailable, "the session has ended"));
    }
  });
  timer_.expires_after(introduction_time);
  timer_.async_wait([weak](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self || self->ended_ || self->dialogue_->proved()) return;
    self->close(error(StatusCode::kDeadlineExceeded, "nobody attached in time"));
  });
  const auto self = shared_from_this();
  socket_->start({.on_frame = [self](Frame frame) { self->on_frame(std::move(frame)); },
                  .on_closed = [self](const Status& why) { self->on_end(why); }});
}

void LocalConnection::refuse(const Status& why) {
  LocalDialogue::Answer answer;
  answer.response.set_code(static_cast<std::uint32_t>(wire::grpc_code(why.code())));
  answer.response.set_message(wire::trailer_message(why.message()));
  answer.last = true;
  send(std::move(answer));
}

void LocalConnection::on_frame(Frame frame) {
  if (ended_) return;
  if (waiting_.size() >= kMaxWaiting) {
    ended_ = true;
    return close(error(StatusCode::kResourceExhausted,
                       "{} requests wait on one local socket; ask one after the other",
                       waiting_.size()));
  }
  waiting_.push_back(std::move(frame));
  if (!answering_) next();
}

void LocalConnection::next() {
  while (!answering_ && !ended_ && !waiting_.empty()) {
    Frame frame = std::move(waiting_.front());
    waiting_.pop_front();
    answering_ = true;
    dialogue_->hear(std::move(frame), [weak = weak_from_this()](LocalDialogue::Answer answer) {
      const auto self = weak.lock();
      if (!self) return;
      // OpenSteps is answered from another thread; here the order of the answers is made.
      boost::asio::dispatch(self->socket_->executor(),
                            [self, answer = std::move(answer)]() mutable {
                              self->answering_ = false;
                              self->send(std::move(answer));
                              self->next();
                            });
    });
  }
}

void LocalConnection::send(LocalDialogue::Answer answer) {
  if (ended_) return;
  const bool last = answer.last;
  const Status sent = socket_->send(LocalDialogue::kResponse, answer.response.SerializeAsString(),
                                    std::move(answer.attachments));
  if (!sent.ok()) return close(sent);
  if (!last) return;
  ended_ = true;
  waiting_.clear();
  socket_->close_when_flushed();
}

void LocalConnection::on_end(const Status& why) {
  ended_ = true;
  waiting_.clear();
  timer_.cancel();
  dialogue_.reset();
  log::logger("local").debug("a connection ended: {}", why.message());
  if (const auto on_closed = std::exchange(on_closed_, nullptr)) on_closed();
}

}  // namespace luna::front
