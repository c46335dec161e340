#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/adapters/adapter_shelf.h"
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
    std::uint64_t bytes = 0;  ///< an upper bound of what the result takes beside the base
  };
  /// `pristine`: the component that the adapters are for. What AdapterShelf::get() and
  /// AdapterPlan::make() answer.
  Result<Plan> plan(Slot slot, std::shared_ptr<const HostWeights> pristine,
                    const ComponentTypes& types, const ResidentTable::Adapters& adapters);
  /// Complete but for its base entry.
  Result<ResidentTable::OverlayPtr> make(Plan plan, const FoundComponent& found,
                                         const ResidentModel& base);

  /// Adapter files that were read; from any thread.
  std::uint64_t adapter_reads() const { return reads_; }

 private:
  Result<ResidentTable::OverlayPtr> merged(Plan& plan, const FoundComponent& found,
                                           const ResidentModel& base);
  Result<ResidentTable::OverlayPtr> row_wise(Plan& plan, const ResidentModel& base);

  ModelSource& source_;
  const at::Device device_;
  AdapterShelf shelf_;
  std::atomic<std::uint64_t> reads_ = 0;
};

}  // namespace luna::worker
