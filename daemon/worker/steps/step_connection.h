#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/local/frame.h"
#include "common/types/steps.h"
#include "daemon/worker/engine/engine.h"
#include "daemon/worker/steps/step_regions.h"
#include "daemon/worker/steps/step_request.h"
#include "luna/v1/local.pb.h"

namespace luna::worker {

/// One client's step socket (local.proto: what "step socket" stands for there). Everything happens
/// on the engine's device thread: it reads between pieces of work, so that an evaluation costs no
/// other thread's waking, and answers where the result is made. One request is served at a time, in
/// their order; kPipeline more are read, the rest waits in the socket.
///
/// A request that cannot be read or served is answered with why. Bytes that are no frame end the
/// connection after an answer that says so. The peer's end cancels what runs, whose memory stays
/// mapped until then; when only the reading side was shut down, what runs is answered first.
class StepConnection : public std::enable_shared_from_this<StepConnection> {
 public:
  static constexpr std::uint16_t kVersion = 1;
  static constexpr std::size_t kPipeline = 4;
  static constexpr std::size_t kMostBodyBytes = std::size_t{4} << 20;

  struct Owner {
    std::function<JobId()> next_job;
    std::function<void()> on_evaluated;  ///< an evaluation was answered with a result
    std::function<void()> on_ended;      ///< once
  };
  StepConnection(Engine& engine, StepsOpening opening, UniqueFd socket, Owner owner);

  /// On the device thread.
  void start();

 private:
  struct Pending {
    Frame frame;
    Deadline::Clock::time_point arrived;
  };
  /// Takes no more requests, and ends when the one that runs has been answered.
  void finish();
  /// What runs is cancelled.
  void end();
  void on_ready();
  void read();
  void serve_next();
  void answer(Frame& frame, Deadline::Clock::time_point arrived);
  Status register_region(Frame& frame);
  Status release_regions();
  Status evaluate(Deadline::Clock::time_point arrived);
  void evaluated(const std::vector<SharedRegion>& into, Result<JobReply> result);
  void send_error(const Status& status);
  void send();
  void write();
  void lose_framing(const Status& why);
  void watch_what_matters();

  Engine& engine_;
  const StepsOpening opening_;
  UniqueFd socket_;
  const Owner owner_;
  FrameDecoder decoder_;
  std::vector<std::byte> buffer_;
  StepRegions regions_;
  v1::LocalRequest request_;    ///< that is being served
  v1::LocalResponse response_;  ///< its answer
  std::deque<Pending> pending_;
  std::optional<JobId> running_;
  std::deque<WireFrame> unsent_;
  std::size_t sent_of_first_ = 0;
  short watched_ = 0;       ///< poll's events; 0: the socket is not watched
  bool finishing_ = false;  ///< ends when what runs was answered and all is sent
  bool ended_ = false;
};

}  // namespace luna::worker
