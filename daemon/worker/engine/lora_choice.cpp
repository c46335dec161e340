#include "daemon/worker/engine/lora_choice.h"

#include <algorithm>
#include <utility>

#include "daemon/worker/sampling/guidance.h"

namespace luna::worker {

LoraApplication choose_application(LoraApplication asked, std::uint64_t evaluations, bool company) {
  if (asked != LoraApplication::kAuto) return asked;
  return company || evaluations < kMergePays ? LoraApplication::kRowWise : LoraApplication::kMerged;
}

std::uint64_t evaluations_of_row(const SamplerRun& run, const Guidance& guidance) {
  const std::size_t steps =
      run.sigmas.empty() ? static_cast<std::size_t>(std::max(run.steps, 0)) : run.sigmas.size() - 1;
  return steps * (cfg_ignores_uncond(guidance.cfg) ? 1 : 2);
}

RowSets RowSets::of(const std::vector<const std::vector<LoraRef>*>& rows) {
  RowSets found;
  for (const std::vector<LoraRef>* loras : rows) {
    std::vector<AdapterUse> uses = adapter_uses(*loras, Slot::kUNet);
    const auto known = std::ranges::find(found.sets, uses);
    found.of_row.push_back(static_cast<std::size_t>(known - found.sets.begin()));
    if (known == found.sets.end()) found.sets.push_back(std::move(uses));
  }
  if (found.sets.empty()) found.sets.emplace_back();
  return found;
}

}  // namespace luna::worker
