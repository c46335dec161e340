#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "common/base/unique_fd.h"
#include "common/types/steps.h"
#include "daemon/worker/engine/engine.h"

namespace luna::worker {

/// The step sockets of one worker. Thread-safe; the sockets themselves live on the engine's device
/// thread. The engine must end first.
class StepServer {
 public:
  static constexpr std::size_t kMostSockets = 256;

  /// A socket has ended, for whatever reason, after so many answered evaluations. From any thread.
  using Ended = std::function<void(StepsId, std::uint64_t evaluations)>;

  StepServer(Engine& engine, Ended on_ended);
  ~StepServer();

  /// Serves the connected `socket` until it ends; one more than kMostSockets ends at once.
  void open(StepsOpening opening, UniqueFd socket);
  /// Answered ones, of each open socket.
  std::map<std::uint64_t, std::uint64_t> evaluations() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace luna::worker
