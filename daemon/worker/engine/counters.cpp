#include "daemon/worker/engine/counters.h"

#include <algorithm>

namespace luna::worker {
namespace {

std::int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

void Counters::accepted() {
  std::lock_guard lock(mutex_);
  ++report_.jobs_queued;
}

void Counters::started(std::chrono::duration<double> queued) {
  std::lock_guard lock(mutex_);
  --report_.jobs_queued;
  ++report_.jobs_running;
  report_.seconds_in_queue += queued.count();
}

void Counters::ended(Ending ending, bool was_started) {
  std::lock_guard lock(mutex_);
  --(was_started ? report_.jobs_running : report_.jobs_queued);
  ++(ending == Ending::kDone     ? report_.jobs_done
     : ending == Ending::kFailed ? report_.jobs_failed
                                 : report_.jobs_cancelled);
}

void Counters::forward(const std::string& kind, int rows, double seconds) {
  std::lock_guard lock(mutex_);
  ForwardCounters& counters = report_.forwards[kind];
  ++counters.forwards;
  counters.rows += static_cast<std::uint64_t>(rows);
  ++counters.batch_sizes[rows];
  counters.seconds_on_device += seconds;
}

void Counters::activations(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  std::uint64_t& largest = report_.memory["activations_estimate"];
  largest = std::max(largest, bytes);
}

void Counters::step_begins() { step_began_ns_ = now_ns(); }
void Counters::step_ends() { step_began_ns_ = 0; }

WorkerReport Counters::snapshot() const {
  WorkerReport report;
  {
    std::lock_guard lock(mutex_);
    report = report_;
  }
  if (const std::int64_t began = step_began_ns_; began != 0) {
    report.step_in_progress_ms =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, now_ns() - began) / 1'000'000);
  }
  return report;
}

}  // namespace luna::worker
