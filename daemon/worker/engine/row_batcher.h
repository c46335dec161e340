#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/engine/device_pacer.h"
#include "daemon/worker/engine/forward_cost.h"
#include "daemon/worker/engine/job_turns.h"
#include "daemon/worker/engine/urgency.h"
#include "daemon/worker/models/denoising_model.h"

namespace luna::worker {

/// One row of a forward, as DenoisingModel::forward takes it.
struct ModelRow {
  const DenoisingModel* model = nullptr;  ///< kept alive by whoever waits for the row
  at::Tensor x;                           ///< [1, C, h, w], compute type
  float timestep = 0;
  at::Tensor context;                        ///< [1, tokens, width], compute type
  std::map<std::string, at::Tensor> extras;  ///< each [1, ...]
  const RowAdapters* adapters = nullptr;     ///< kept alive as the model is; none: as empty
};

struct RowResult {
  at::Tensor output;  ///< [1, C, h, w], the raw prediction in the compute type
  at::Tensor finite;  ///< one bool on the device: whether all of `output` is finite
  int rows_in_batch = 0;
  double seconds = 0;  ///< of the forward, where it is known by then: on the CPU
};

/// Who waits for rows. Called from RowBatcher::run_next() alone; may add and drop rows from there.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual Urgency urgency() const = 0;
  virtual const std::string& workflow() const = 0;
  virtual void row_done(std::size_t index, RowResult result) = 0;
  virtual void row_failed(std::size_t index, const Status& status) = 0;
};

/// Gathers rows of all live jobs and serves those that fit together in one forward
/// (architecture.md, "The batcher's rules"). Never waits: run_next() takes what is there. For the
/// device thread.
class RowBatcher {
 public:
  struct Options {
    int max_rows = 16;
    /// Bytes that a forward's activations may take now; asked once a forward.
    std::function<std::uint64_t()> activation_budget = [] { return UINT64_MAX; };
    /// Whether somebody at interactive priority has calls or had one lately, so that the next is to
    /// be expected: others' forwards are short then.
    std::function<bool()> interactive_about = [] { return false; };
    /// Told before every forward how many bytes its activations take at most.
    std::function<void(std::uint64_t bytes)> on_activations;
    /// Told of every forward that finished: rows in it by workflow.
    std::function<void(int rows, double seconds, const std::map<std::string, int>&)> on_forward;
  };

  RowBatcher(Options options, DevicePacer& pacer);

  /// `index` names the row to its sink.
  void add(RowSink* sink, std::size_t index, ModelRow row);
  /// Forgets the sink and all its rows; to be called before it ends.
  void drop(const RowSink* sink);
  bool empty() const { return waiting_.empty(); }
  std::optional<Urgency> most_urgent() const;

  /// Runs the forward of the most urgent row's group and hands out the results. A forward that
  /// fails is split in two and tried again; a row that fails alone is failed to its sink.
  void run_next();

 private:
  struct Waiting {
    RowSink* sink = nullptr;
    std::size_t index = 0;
    ModelRow row;
  };
  using Group = std::vector<Waiting>;

  Group take_group();
  void run_group(Group group);
  void deliver(Group& group, const at::Tensor& output, double seconds);
  int row_limit(const ForwardCost::Key& key) const;

  const Options options_;
  DevicePacer& pacer_;
  ForwardCost cost_;
  JobTurns turns_;
  std::map<ForwardCost::Key, int> lowered_limits_;  ///< after a forward that did not fit in memory
  std::vector<Waiting> waiting_;
  std::vector<const RowSink*> dropped_;  ///< while results are being handed out
  bool delivering_ = false;
};

}  // namespace luna::worker
