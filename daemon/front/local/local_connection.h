#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "daemon/front/local/local_dialogue.h"
#include "daemon/ipc/transport/frame_socket.h"

namespace luna::front {

/// One client's end on the local socket: frames in and out, one request at a time, in order. All of
/// it runs on the socket's executor.
class LocalConnection : public std::enable_shared_from_this<LocalConnection> {
 public:
  /// Requests that may wait behind one that is being answered.
  static constexpr std::size_t kMaxWaiting = 256;
  /// What one frame may hold: no tensor travels inside.
  static FrameLimits frame_limits();

  LocalConnection(std::shared_ptr<ipc::FrameSocket> socket, PlaneDesk& desk, StepsOpener* steps)
      : socket_(std::move(socket)), timer_(socket_->executor()), desk_(desk), steps_(steps) {}

  /// `on_closed` comes once. Without a proof within `introduction_time` the connection ends.
  void start(std::chrono::milliseconds introduction_time, std::function<void()> on_closed);
  /// Says why and closes.
  void refuse(const Status& why);
  void close(Status why) { socket_->close(std::move(why)); }

 private:
  void on_frame(Frame frame);
  void next();
  void send(LocalDialogue::Answer answer);
  void on_end(const Status& why);

  const std::shared_ptr<ipc::FrameSocket> socket_;
  boost::asio::steady_timer timer_;
  PlaneDesk& desk_;
  StepsOpener* const steps_;
  std::unique_ptr<LocalDialogue> dialogue_;
  std::function<void()> on_closed_;
  std::deque<Frame> waiting_;
  bool answering_ = false;
  bool ended_ = false;
};

}  // namespace luna::front
