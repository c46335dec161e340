#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include "common/base/status.h"
#include "common/local/frame.h"

namespace luna::ipc {

struct FrameSocketOptions {
  std::uint16_t version = 0;  ///< of the protocol; a peer with another one is refused
  FrameLimits limits;
  /// Bytes that wait while the peer does not read; one frame more closes the socket. Bytes behind
  /// descriptors do not count.
  std::size_t max_queued_bytes = std::size_t{256} << 20;
  /// How long close_when_flushed() waits for a peer that does not read.
  std::chrono::milliseconds flush_timeout{5000};
};

/// A connected local stream socket that carries frames both ways on an io_context.
///
/// send() and the two ways to close may be called from any thread. send() writes at once when
/// nothing waits, so a small message needs no other thread; only what the kernel does not take is
/// queued. Handlers run on the io_context, one at a time, and never inside a call of this class.
/// The socket lives until it is closed, whoever still holds it, but not longer than the io_context.
class FrameSocket : public std::enable_shared_from_this<FrameSocket> {
 public:
  using Executor = boost::asio::strand<boost::asio::io_context::executor_type>;
  struct Handlers {
    std::function<void(Frame)> on_frame;
    /// Once, and last. UNAVAILABLE: the peer ended the stream. RESOURCE_EXHAUSTED: the queue
    /// overflowed, or descriptors were lost. INVALID_ARGUMENT: the peer sent something that is no
    /// frame. FAILED_PRECONDITION: another protocol version. Or the reason given to close(); ok
    /// after close_when_flushed().
    std::function<void(Status)> on_closed;
  };

  /// Takes over the connected socket `fd`. Nothing is read before start().
  static std::shared_ptr<FrameSocket> adopt(boost::asio::io_context& io, UniqueFd fd,
                                            FrameSocketOptions options);

  void start(Handlers handlers);
  /// Frames leave in the order of the calls. RESOURCE_EXHAUSTED when the frame passes a limit
  /// (nothing was sent, the socket stays open); UNAVAILABLE when it is closed, or closes now
  /// because the queue overflows.
  Status send(std::uint16_t message, std::string body, std::vector<BytesPtr> attachments);
  /// What waits is dropped.
  void close(Status reason);
  /// Takes no more, and closes when everything that waits was written or the flush timeout is over.
  void close_when_flushed();

  const Executor& executor() const { return executor_; }

  FrameSocket(boost::asio::io_context& io, FrameSocketOptions options);

 private:
  enum class Sending { kOpen, kFlushing, kBroken };
  enum class Progress { kIdle, kWaitForRoom, kWaitForTime };

  void read_when_ready(std::shared_ptr<const Handlers> handlers);
  void read_what_is_there(const std::shared_ptr<const Handlers>& handlers);
  Progress write_what_fits();
  void wait_to_write(Progress why);
  void continue_writing();
  void close_now(const Status& reason);
  template <class Function>
  void on_executor(Function function);

  Executor executor_;
  boost::asio::local::stream_protocol::socket socket_;
  boost::asio::steady_timer congestion_timer_;
  boost::asio::steady_timer flush_timer_;
  FrameSocketOptions options_;

  // Only on the executor.
  std::weak_ptr<const Handlers>
      handlers_;  ///< owned by the read under way: they go with the io_context
  FrameDecoder decoder_;
  std::vector<std::byte> buffer_;
  bool closed_ = false;
  Status closed_because_;

  std::mutex mutex_;  ///< guards all below, and the descriptor against being closed during a send
  int fd_ = -1;
  Sending sending_ = Sending::kOpen;
  std::deque<WireFrame> queue_;
  std::size_t sent_of_first_ = 0;
  std::size_t queued_bytes_ = 0;
};

}  // namespace luna::ipc
