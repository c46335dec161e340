#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/adapters/adapter_shelf.h"
#include "daemon/worker/adapters/overlay_memory.h"
#include "daemon/worker/residency/model_source.h"
#include "daemon/worker/residency/resident_table.h"

namespace luna::worker {

/// Makes what adapters make of a resident model: first a plan, which says how much room the result
/// takes, then the thing itself. For the loading thread.
class OverlayMaker {
 public:
  OverlayMaker(ModelSource& source, at::Device device) : source_(source), device_(device) {}

  struct Plan {
    ResidentTable::Adapters adapters;
    std::vector<LoadedAdapter> loaded;
    std::shared_ptr<const HostWeights> pristine;
    AdapterPlan changes;
    ComponentTypes types;
    WeightStore::Tensors running;  ///< of the base
    OverlayLayout layout;          ///< of a merged one's own memory
    std::uint64_t bytes = 0;       ///< an upper bound of what the result takes beside the base
  };
  /// `pristine`: the component that the adapters are for, which runs as `base`. What
  /// AdapterShelf::get() and AdapterPlan::make() answer.
  Result<Plan> plan(Slot slot, std::shared_ptr<const HostWeights> pristine,
                    const ComponentTypes& types, const ResidentTable::Adapters& adapters,
                    const ResidentModel& base);
  /// Complete but for its base entry. Written into `memory` where that is of the plan's layout and
  /// nobody else has it, else into new memory. After an error nothing of it is left.
  Result<ResidentTable::OverlayPtr> make(Plan plan, const FoundComponent& found,
                                         const ResidentModel& base,
                                         std::shared_ptr<OverlayMemory> memory);

  /// Adapter files that were read; from any thread.
  std::uint64_t adapter_reads() const { return reads_; }
  /// Merged overlays by where they were written; from any thread.
  OverlayMemoryUse memory_use() const { return {in_new_memory_, in_reused_memory_}; }

 private:
  Result<ResidentTable::OverlayPtr> merged(Plan& plan, const FoundComponent& found,
                                           const ResidentModel& base,
                                           std::shared_ptr<OverlayMemory> memory);
  Result<ResidentTable::OverlayPtr> row_wise(Plan& plan, const ResidentModel& base);

  ModelSource& source_;
  const at::Device device_;
  AdapterShelf shelf_;
  std::atomic<std::uint64_t> reads_ = 0, in_new_memory_ = 0, in_reused_memory_ = 0;
};

}  // namespace luna::worker
