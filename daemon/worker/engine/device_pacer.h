#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>

#include <ATen/ATen.h>
#include <c10/core/Event.h>

namespace luna::worker {

/// Keeps the host at most two pieces of work ahead of the device, and tells how long each took
/// there. On CPU enqueued means finished, so it only measures. For the device thread.
class DevicePacer {
 public:
  /// Told once a piece of work has finished, with its seconds on the device.
  using Finished = std::function<void(double seconds)>;

  explicit DevicePacer(at::Device device) : device_(device) {}

  /// Waits until at most one earlier piece is unfinished, then runs `work`, which enqueues. What
  /// `work` throws is passed on, and `finished` is then not called.
  void run(const std::function<void()>& work, Finished finished);
  /// Waits for everything that was enqueued.
  void finish();

 private:
  struct InFlight {
    c10::Event begin, end;
    Finished finished;
  };
  void wait_for(std::optional<InFlight>& piece);

  const at::Device device_;
  std::array<std::optional<InFlight>, 2> in_flight_;
  std::size_t next_ = 0;
};

}  // namespace luna::worker
