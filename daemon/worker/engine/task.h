#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/job.h"
#include "daemon/worker/engine/counters.h"
#include "daemon/worker/engine/device_pacer.h"
#include "daemon/worker/engine/entry_shelf.h"
#include "daemon/worker/engine/fair_share.h"
#include "daemon/worker/engine/row_batcher.h"
#include "daemon/worker/engine/urgency.h"
#include "daemon/worker/ops/device_plane.h"
#include "daemon/worker/ops/tensor_ref.h"
#include "daemon/worker/residency/residency.h"

namespace luna::worker {

/// What tasks share: the engine's, for its whole life.
struct TaskServices {
  at::Device device;
  RowBatcher& rows;
  DevicePacer& pacer;
  Counters& counters;
  FairShare& fair_share;
  BytesMaker make_bytes;
  std::function<std::uint64_t()> free_bytes;  ///< of the device, for activations
  EntryShelf& entries;
  DevicePlane* plane = nullptr;               ///< null: all tensors pass through the host
};

/// A job's place in the queue, and whom to tell how far it is.
struct TaskTicket {
  std::string workflow;
  Priority priority = Priority::kNormal;
  std::uint64_t order = 0;
  std::function<void(const SampleProgress&)> on_progress;
  BytesMaker make_bytes = {};  ///< of an evaluation's results; none: the engine's
  std::string session = {};
  bool cuda_results = false;
  /// Of its results so far; the engine ends them when the job fails.
  std::shared_ptr<std::vector<std::string>> leases = std::make_shared<std::vector<std::string>>();

  Urgency urgency(const FairShare& share) const {
    return {priority, share.served(workflow), order};
  }
};

/// A job that needs the device, between the arrival of its model and its result. All calls come
/// from the device thread. Destroying it takes back everything that it had enqueued.
class Task {
 public:
  virtual ~Task() = default;

  /// Checks the request against the model and enqueues the first work. A failure ends the task.
  virtual Status start() = 0;
  /// True while it waits for a turn of its own on the device (text, a tile); rows wait in the
  /// batcher instead.
  virtual bool has_item() const { return false; }
  /// Takes that turn: one bounded piece of work.
  virtual void run_item() {}
  /// After each forward: goes on as far as the results allow.
  virtual void advance() {}

  /// The result, once it is there.
  std::optional<Result<JobReply>> take_result() { return std::exchange(result_, std::nullopt); }

 protected:
  void finish(Result<JobReply> result) {
    if (!result_) result_ = std::move(result);
  }
  bool finished() const { return result_.has_value(); }

 private:
  std::optional<Result<JobReply>> result_;
};

}  // namespace luna::worker
