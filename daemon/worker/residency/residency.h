#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/job.h"
#include "common/types/model.h"
#include "daemon/worker/adapters/adapter_plan.h"
#include "daemon/worker/adapters/row_wise.h"
#include "daemon/worker/residency/model_source.h"

namespace luna::worker {

/// A component in memory. Holding a ModelHandle keeps it there: it is not evicted or unloaded.
struct ResidentModel {
  Component model;
  ComponentInfo info;  ///< with its content hash
  Precision precision = Precision::kF32;
  std::vector<std::string> warnings;  ///< of an overlay: what of its adapters has no place here
  RowWise row_wise;  ///< of an adapter for single rows; `model` is then the pristine one
};
using ModelHandle = std::shared_ptr<const ResidentModel>;

/// Merged overlays made since the start: in memory that was allocated for them, and in that of one
/// that left.
struct OverlayMemoryUse {
  std::uint64_t in_new = 0, in_reused = 0;
  bool operator==(const OverlayMemoryUse&) const = default;
};

/// The models of one device: loaded when first asked for, on a thread of their own; one copy of
/// each content and precision however many files hold it; evicted, least recently used first, when
/// a budget or the device's memory demands it, and never while a job or a pin holds them. A file is
/// looked at (stat) with every use: a changed one is another model.
class Residency {
 public:
  struct Options {
    at::Device device = at::kCPU;
    std::uint64_t budget_bytes = 0;                        ///< of weights; 0: what the device has
    std::uint64_t overlay_bytes = std::uint64_t{2} << 30;  ///< of idle overlays, beside the budget
    std::chrono::milliseconds hold_wait{
        60'000};                           ///< how long a load waits for jobs to let go of models
    std::function<void()> prepare_thread;  ///< runs first on the loading thread
    std::function<void()> after_freeing;   ///< runs when an unload has freed memory
  };
  Residency(Options options, std::unique_ptr<ModelSource> source);
  /// Loads that wait are dropped without an answer. Handles may outlive this object.
  ~Residency();

  /// Calls `done` once: at once when the model is resident, else from the loading thread.
  /// NOT_FOUND; FAILED_PRECONDITION when the file has no such component (and what it has);
  /// RESOURCE_EXHAUSTED when it does not fit, with what is in the way; and what reading and
  /// building answer.
  void acquire(Slot slot, const ModelRef& model, std::function<void(Result<ModelHandle>)> done) {
    acquire(slot, model, {}, std::move(done));
  }
  /// The model with these adapters applied: an overlay over the pristine one, which shares all
  /// weights with it that they leave alone. It is kept like a model, no longer than the one below
  /// it. Also what AdapterPlan::make() and read_adapter() answer.
  void acquire(Slot slot, const ModelRef& model, const std::vector<AdapterUse>& adapters,
               std::function<void(Result<ModelHandle>)> done);
  /// One adapter's factors for single rows of the model's forwards, whatever its strength there;
  /// or, in `row_wise.refusal`, why it has none. Kept as an overlay is.
  void acquire_rows(Slot slot, const ModelRef& model, const std::string& adapter,
                    std::function<void(Result<ModelHandle>)> done);

  /// What is in a file; content hashes of components that were loaded from it.
  void inspect(const InspectModelRequest& request,
               std::function<void(Result<InspectModelReply>)> done);

  /// Never waits for a load. Where the components lie now is not known here. `done` is called when
  /// their memory is free, from a thread that frees it.
  void unload(const UnloadModelRequest& request, std::function<void(UnloadModelReply)> done);
  /// Loads again what an unload left restorable, on the loading thread; `done` as acquire()'s, but
  /// where there is no room now nothing is waited for.
  void restore(const RestoreModelRequest& request,
               std::function<void(Result<RestoreModelReply>)> done);
  /// The files whose components are neither evicted nor unloaded; replaces the former ones.
  void pin(const std::vector<std::string>& paths);

  std::vector<LoadedModel> loaded() const;
  /// The line of loaded() for this model, if it is still here.
  LoadedModel describe(const ModelHandle& model) const;
  std::uint64_t resident_bytes() const;
  /// Of these, what adapters' overlays take.
  std::uint64_t overlay_bytes() const;
  OverlayMemoryUse overlay_memory_use() const;
  /// Components that were read from files, and adapter files.
  std::uint64_t model_reads() const;
  std::uint64_t adapter_reads() const;

 private:
  class Shelf;
  std::shared_ptr<Shelf> shelf_;
};

}  // namespace luna::worker
