#include "daemon/ipc/transport/frame_socket.h"

#include <array>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "common/local/socket.h"

namespace luna::ipc {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
/// Reads in a row before other handlers of the io_context get their turn.
constexpr int kReadsPerTurn = 16;
constexpr std::size_t kPiecesPerSend = 64;
constexpr std::chrono::milliseconds kCongestionPause{2};

}  // namespace

FrameSocket::FrameSocket(boost::asio::io_context& io, FrameSocketOptions options)
    : executor_(boost::asio::make_strand(io)),
      socket_(executor_),
      congestion_timer_(executor_),
      flush_timer_(executor_),
      options_(options),
      decoder_(options.version, options.limits),
      buffer_(kReadBytes) {}

std::shared_ptr<FrameSocket> FrameSocket::adopt(boost::asio::io_context& io, UniqueFd fd,
                                                FrameSocketOptions options) {
  auto made = std::make_shared<FrameSocket>(io, options);
  boost::system::error_code failure;
  made->socket_.assign(boost::asio::local::stream_protocol(), fd.get(), failure);
  if (failure) {
    made->close_now(
        error(StatusCode::kInternal, "taking over a connected socket: {}", failure.message()));
  } else {
    made->fd_ = fd.release();
  }
  return made;
}

template <class Function>
void FrameSocket::on_executor(Function function) {
  boost::asio::post(executor_, [self = shared_from_this(), function] { function(*self); });
}

void FrameSocket::start(Handlers handlers) {
  auto shared = std::make_shared<const Handlers>(std::move(handlers));
  on_executor([shared](FrameSocket& self) {
    if (self.closed_) return shared->on_closed(self.closed_because_);
    self.handlers_ = shared;
    self.read_when_ready(shared);
  });
}

Status FrameSocket::send(std::uint16_t message, std::string body,
                         std::vector<BytesPtr> attachments) {
  LUNA_ASSIGN_OR_RETURN(
      WireFrame frame,
      WireFrame::lay_out({options_.version, message, std::move(body), std::move(attachments)},
                         options_.limits));
  Progress progress = Progress::kIdle;
  Status overflow;
  {
    const std::lock_guard lock(mutex_);
    if (sending_ != Sending::kOpen) {
      return Status(StatusCode::kUnavailable, "the connection is closed");
    }
    const bool idle = queue_.empty();
    queued_bytes_ += frame.size();
    queue_.push_back(std::move(frame));
    if (idle) progress = write_what_fits();
    if (queued_bytes_ > options_.max_queued_bytes) {
      overflow = error(StatusCode::kResourceExhausted,
                       "{} bytes wait for a peer that does not read; at most {} may", queued_bytes_,
                       options_.max_queued_bytes);
      sending_ = Sending::kBroken;
    }
  }
  if (!overflow.ok()) {
    close(overflow);
    return Status(StatusCode::kUnavailable, overflow.message());
  }
  if (progress != Progress::kIdle) {
    on_executor([progress](FrameSocket& self) { self.wait_to_write(progress); });
  }
  return {};
}

void FrameSocket::close(Status reason) {
  on_executor([reason = std::move(reason)](FrameSocket& self) { self.close_now(reason); });
}

void FrameSocket::close_when_flushed() {
  {
    const std::lock_guard lock(mutex_);
    if (sending_ == Sending::kOpen) sending_ = Sending::kFlushing;
    if (queue_.empty()) {
      on_executor([](FrameSocket& self) { self.close_now({}); });
      return;
    }
  }
  on_executor([](FrameSocket& self) {
    if (self.closed_) return;
    self.flush_timer_.expires_after(self.options_.flush_timeout);
    self.flush_timer_.async_wait([me = self.shared_from_this()](boost::system::error_code failure) {
      if (!failure) me->close_now({});
    });
  });
}

void FrameSocket::read_when_ready(std::shared_ptr<const Handlers> handlers) {
  socket_.async_wait(boost::asio::socket_base::wait_read,
                     [self = shared_from_this(),
                      handlers = std::move(handlers)](boost::system::error_code failure) {
                       if (!failure && !self->closed_) self->read_what_is_there(handlers);
                     });
}

void FrameSocket::read_what_is_there(const std::shared_ptr<const Handlers>& handlers) {
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    std::vector<UniqueFd> descriptors;
    const Result<Transfer> transfer = receive_some(socket_.native_handle(), buffer_, descriptors);
    if (!transfer.ok()) return close_now(transfer.status());
    if (transfer->state == TransferState::kEnd) {
      return close_now(error(StatusCode::kUnavailable, "the peer closed the connection{}",
                             decoder_.at_boundary() ? "" : " in the middle of a message"));
    }
    if (transfer->state == TransferState::kWouldBlock) break;
    const Status fed =
        decoder_.feed(std::span(buffer_).first(transfer->bytes), std::move(descriptors));
    while (std::optional<Frame> frame = decoder_.next()) handlers->on_frame(std::move(*frame));
    if (!fed.ok()) return close_now(fed);
    if (transfer->bytes < buffer_.size()) break;
  }
  read_when_ready(handlers);
}

/// Writes until the queue is empty or the kernel takes no more. Needs the mutex.
FrameSocket::Progress FrameSocket::write_what_fits() {
  std::array<iovec, kPiecesPerSend> pieces;
  while (!queue_.empty() && sending_ != Sending::kBroken) {
    const WireFrame& frame = queue_.front();
    const std::size_t count = frame.pieces_from(sent_of_first_, pieces);
    const Result<Transfer> transfer =
        send_some(fd_, std::span(pieces).first(count),
                  sent_of_first_ == 0 ? frame.descriptors() : std::span<const int>());
    if (!transfer.ok()) {
      // Not the end yet: what the peer said before it went is still to be read, and says more.
      sending_ = Sending::kBroken;
      queue_.clear();
      queued_bytes_ = 0;
      break;
    }
    if (transfer->state == TransferState::kWouldBlock) return Progress::kWaitForRoom;
    if (transfer->state == TransferState::kCongested) return Progress::kWaitForTime;
    sent_of_first_ += transfer->bytes;
    if (sent_of_first_ == frame.size()) {
      queued_bytes_ -= frame.size();
      queue_.pop_front();
      sent_of_first_ = 0;
    }
  }
  return Progress::kIdle;
}

void FrameSocket::wait_to_write(Progress why) {
  if (closed_) return;
  const auto go_on = [self = shared_from_this()](boost::system::error_code failure) {
    if (!failure && !self->closed_) self->continue_writing();
  };
  if (why == Progress::kWaitForRoom) {
    socket_.async_wait(boost::asio::socket_base::wait_write, go_on);
  } else {
    congestion_timer_.expires_after(kCongestionPause);
    congestion_timer_.async_wait(go_on);
  }
}

void FrameSocket::continue_writing() {
  Progress progress = Progress::kIdle;
  bool flushed = false;
  {
    const std::lock_guard lock(mutex_);
    progress = write_what_fits();
    flushed = queue_.empty() && sending_ == Sending::kFlushing;
  }
  if (flushed) return close_now({});
  if (progress != Progress::kIdle) wait_to_write(progress);
}

void FrameSocket::close_now(const Status& reason) {
  if (closed_) return;
  closed_ = true;
  closed_because_ = reason;
  {
    const std::lock_guard lock(mutex_);
    sending_ = Sending::kBroken;
    queue_.clear();
    queued_bytes_ = 0;
    fd_ = -1;
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  congestion_timer_.cancel();
  flush_timer_.cancel();
  if (const auto handlers = std::exchange(handlers_, {}).lock()) handlers->on_closed(reason);
}

}  // namespace luna::ipc
