// The part of DeviceEngine that gives the rows of a call their UNet, with the LoRA set of each.
#include <algorithm>
#include <utility>

#include "daemon/worker/engine/device_engine.h"

namespace luna::worker {
namespace {

// Each different set of a call that is merged holds an overlay while the call runs.
constexpr std::size_t kMostSets = 64;

}  // namespace

/// A call's sets on their way to models; `model` and `factors` are places in LiveJob::models.
struct DeviceEngine::SetsAtWork {
  struct Set {
    std::vector<AdapterUse> uses;
    AppliedLoras applied;
    std::size_t model = 0;
    std::vector<std::size_t> factors;
  };
  std::vector<Set> sets;
  std::vector<std::size_t> of_row;
  std::vector<WantedModel> wanted{{Slot::kUNet, {}, false}};  ///< the pristine model comes first

  std::size_t want(WantedModel model) {
    const auto known = std::ranges::find(wanted, model);
    const auto at = static_cast<std::size_t>(known - wanted.begin());
    if (known == wanted.end()) wanted.push_back(std::move(model));
    return at;
  }
  void merge(Set& set) {
    set.applied.application = LoraApplication::kMerged;
    set.factors.clear();
    set.model = want({Slot::kUNet, set.uses, false});
  }
};

bool DeviceEngine::has_company(const LiveJob& live, const std::vector<AdapterUse>& set) const {
  const auto another = [&](const LiveJob& other) {
    return other.unet == live.unet &&
           std::ranges::any_of(other.lora_sets, [&](const auto& its) { return its != set; });
  };
  return std::ranges::any_of(live_, [&](const auto& entry) { return another(*entry.second); });
}

void DeviceEngine::with_row_models(LiveJob& live,
                                   const std::vector<const std::vector<LoraRef>*>& rows,
                                   const std::vector<std::uint64_t>& evaluations,
                                   LoraApplication asked,
                                   std::function<void(LiveJob&, RowModels)> then) {
  const RowSets found = RowSets::of(rows);
  if (found.sets.size() > kMostSets) {
    return end(live.job.id, error(StatusCode::kInvalidArgument,
                                  "rows: expected at most {} different sets of loras, found {}",
                                  kMostSets, found.sets.size()));
  }
  if (const auto unet = live.job.models.slots.find(Slot::kUNet);
      unet != live.job.models.slots.end()) {
    live.unet = unet->second.path;
  }
  live.lora_sets = found.sets;
  auto work = std::make_shared<SetsAtWork>();
  work->of_row = found.of_row;
  for (std::size_t i = 0; i < found.sets.size(); ++i) {
    SetsAtWork::Set& set = work->sets.emplace_back();
    set.uses = found.sets[i];
    if (set.uses.empty()) continue;
    std::uint64_t needed = 0;
    for (std::size_t row = 0; row < rows.size(); ++row)
      needed += found.of_row[row] == i ? evaluations[row] : 0;
    set.applied.application = choose_application(asked, needed, has_company(live, set.uses));
    if (set.applied.application == LoraApplication::kMerged) {
      work->merge(set);
      continue;
    }
    for (const AdapterUse& use : set.uses)
      set.factors.push_back(work->want({Slot::kUNet, {{use.path, 1, {}}}, true}));
  }
  with_models(live, work->wanted, [this, work, then = std::move(then)](LiveJob& ready) {
    merge_refused(ready, work);
    with_models(ready, work->wanted,
                [this, work, then](LiveJob& done) { hand_out(done, *work, then); });
  });
}

void DeviceEngine::merge_refused(const LiveJob& live, const std::shared_ptr<SetsAtWork>& work) {
  for (SetsAtWork::Set& set : work->sets) {
    for (const std::size_t at : set.factors) {
      const RowWise& row_wise = live.models[at]->row_wise;
      if (row_wise.factors) continue;
      set.applied.reason = row_wise.refusal;
      work->merge(set);
      break;
    }
  }
}

void DeviceEngine::hand_out(LiveJob& live, const SetsAtWork& work,
                            const std::function<void(LiveJob&, RowModels)>& then) {
  RowModels models;
  const auto row_of = [&](const SetsAtWork::Set& set) {
    RowModel row;
    const auto* unet =
        std::get_if<std::shared_ptr<const DenoisingModel>>(&live.models[set.model]->model);
    if (unet) row.model = *unet;
    for (std::size_t i = 0; i < set.factors.size(); ++i) {
      const AdapterUse& use = set.uses[i];
      row.adapters.push_back(
          {live.models[set.factors[i]]->row_wise.factors, use.strength, use.blocks});
    }
    return row;
  };
  for (const std::size_t set : work.of_row) models.rows.push_back(row_of(work.sets[set]));
  if (work.of_row.empty()) models.rows.push_back(row_of(work.sets.front()));
  if (!models.rows.front().model) {
    return end(live.job.id, error(StatusCode::kInternal, "the unet slot holds no denoising model"));
  }
  const bool any =
      std::ranges::any_of(work.sets, [](const SetsAtWork::Set& set) { return !set.uses.empty(); });
  for (const std::size_t set : work.of_row) {
    if (any) models.applied.push_back(work.sets[set].applied);
  }
  for (const ModelHandle& model : live.models) {
    for (const std::string& warning : model->warnings) {
      if (std::ranges::find(models.warnings, warning) == models.warnings.end())
        models.warnings.push_back(warning);
    }
  }
  then(live, std::move(models));
}

}  // namespace luna::worker
