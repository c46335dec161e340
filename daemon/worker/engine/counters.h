#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "common/types/report.h"

namespace luna::worker {

/// What the engine counts for WorkerReport. Thread-safe; reading never waits for a forward.
class Counters {
 public:
  enum class Ending { kDone, kFailed, kCancelled };

  void accepted();
  /// The job's first piece of device work begins, `queued` after it was accepted.
  void started(std::chrono::duration<double> queued);
  void ended(Ending ending, bool was_started);
  /// A forward of this kind ("unet", "clip_l", ...) has finished.
  void forward(const std::string& kind, int rows, double seconds);

  /// A forward runs whose activations were estimated at so many bytes.
  void activations(std::uint64_t bytes);

  void step_begins();
  void step_ends();

  /// All fields but the device, models and memory, of which it has "activations_estimate".
  WorkerReport snapshot() const;

 private:
  mutable std::mutex mutex_;
  WorkerReport report_;
  std::atomic<std::int64_t> step_began_ns_{0};  ///< steady clock; 0 between steps
};

}  // namespace luna::worker
