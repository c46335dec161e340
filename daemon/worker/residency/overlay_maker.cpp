#include "daemon/worker/residency/overlay_maker.h"

#include <algorithm>
#include <utility>

#include "common/log/log.h"
#include "daemon/worker/adapters/overlay.h"
#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {

Result<OverlayMaker::Plan> OverlayMaker::plan(Slot slot,
                                              std::shared_ptr<const HostWeights> pristine,
                                              const ComponentTypes& types,
                                              const ResidentTable::Adapters& adapters,
                                              const ResidentModel& base) {
  Plan plan;
  plan.adapters = adapters;
  plan.pristine = std::move(pristine);
  plan.types = types;
  for (const ResidentTable::Adapter& adapter : adapters.in_order) {
    LUNA_ASSIGN_OR_RETURN(auto parsed, shelf_.get(adapter.file));
    plan.loaded.push_back({adapter.use, std::move(parsed)});
  }
  reads_ = shelf_.reads();
  LUNA_ASSIGN_OR_RETURN(plan.changes, AdapterPlan::make(slot, *plan.pristine, plan.loaded));
  if (adapters.row_wise) {
    for (const LoadedAdapter& adapter : plan.loaded)
      plan.bytes += adapter.file->bytes * (types.compute == at::kFloat ? 2 : 1);
  } else {
    plan.running = running_weights_of(base.model);
    plan.layout = OverlayLayout::of(plan.changes, plan.running);
    const std::uint64_t element =
        std::max(c10::elementSize(types.storage), c10::elementSize(types.compute));
    for (const auto& [name, changes] : plan.changes.changes)
      plan.bytes += ops::packed_elements_bound(plan.changes.shapes.at(name)) * element;
  }
  return plan;
}

Result<ResidentTable::OverlayPtr> OverlayMaker::make(Plan plan, const FoundComponent& found,
                                                     const ResidentModel& base,
                                                     std::shared_ptr<OverlayMemory> memory) {
  LUNA_ASSIGN_OR_RETURN(auto overlay, plan.adapters.row_wise
                                          ? row_wise(plan, base)
                                          : merged(plan, found, base, std::move(memory)));
  for (const std::string& warning : plan.changes.warnings)
    log::logger("adapters").warn("{}", warning);
  overlay->model.warnings = std::move(plan.changes.warnings);
  overlay->adapters = std::move(plan.adapters);
  return overlay;
}

Result<ResidentTable::OverlayPtr> OverlayMaker::merged(Plan& plan, const FoundComponent& found,
                                                       const ResidentModel& base,
                                                       std::shared_ptr<OverlayMemory> memory) {
  // Whoever still has a weight of the overlay that left keeps its memory as it is.
  const bool reuses = memory && memory.use_count() == 1 && memory->layout() == plan.layout;
  if (!reuses) {
    memory.reset();
    LUNA_ASSIGN_OR_RETURN(memory, OverlayMemory::allocate(plan.layout, device_));
  }
  LUNA_ASSIGN_OR_RETURN(
      WeightStore::Tensors changed,
      make_overlay(plan.changes, *plan.pristine, plan.types.storage, device_, memory->tensors()));
  std::uint64_t shared = 0;
  for (const auto& [name, tensor] : plan.running) {
    if (!changed.contains(name)) shared += ops::weight_bytes(tensor);
  }
  WeightStore::Tensors tensors = std::move(changed);
  tensors.merge(std::move(plan.running));
  auto weights = std::make_shared<const WeightStore>(std::move(tensors), plan.pristine->metadata,
                                                     plan.pristine->content_hash);
  LUNA_ASSIGN_OR_RETURN(Component built,
                        source_.build(found, std::move(weights), plan.types.compute, device_));
  auto overlay = std::make_shared<ResidentTable::Overlay>();
  overlay->model = {std::move(built), base.info, base.precision, {}, {}};
  overlay->bytes = resident_bytes_of(overlay->model.model) - shared;
  overlay->memory = std::move(memory);
  ++(reuses ? in_reused_memory_ : in_new_memory_);
  return overlay;
}

Result<ResidentTable::OverlayPtr> OverlayMaker::row_wise(Plan& plan, const ResidentModel& base) {
  static const std::set<std::string> kNone;
  const auto* model = std::get_if<std::shared_ptr<const DenoisingModel>>(&base.model);
  auto overlay = std::make_shared<ResidentTable::Overlay>();
  overlay->model = {base.model, base.info, base.precision, {}, {}};
  LUNA_ASSIGN_OR_RETURN(overlay->model.row_wise,
                        make_row_wise(plan.changes, model ? (*model)->row_wise_weights() : kNone,
                                      plan.types.compute, device_));
  if (const auto& factors = overlay->model.row_wise.factors) overlay->bytes = factors->bytes;
  return overlay;
}

}  // namespace luna::worker
