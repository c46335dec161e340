#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/types/sampling.h"
#include "daemon/worker/adapters/adapter_plan.h"

namespace luna::worker {

/// From so many evaluations of the model on, weights of its own pay for a LoRA set that has the
/// model to itself: merging costs about as much as adding row by row costs in so many rows of
/// 256 x 256 pixels (docs/benchmarks.md).
inline constexpr std::uint64_t kMergePays = 16;

/// How a set is applied: as it was asked for; else row by row in company, which lets it share
/// forwards, or when merging does not pay.
/// `evaluations`: of this call, with this set. `company`: rows of the same model with another set,
/// or none, are in this call or in others under way.
LoraApplication choose_application(LoraApplication asked, std::uint64_t evaluations, bool company);

/// Evaluations of the model that a row takes at least: its steps, twice with guidance.
std::uint64_t evaluations_of_row(const SamplerRun& run, const Guidance& guidance);

/// The rows of a call by their sets of adapters of the UNet.
struct RowSets {
  std::vector<std::vector<AdapterUse>> sets;  ///< each once, as they come; at least one
  std::vector<std::size_t> of_row;
  static RowSets of(const std::vector<const std::vector<LoraRef>*>& rows);
};

}  // namespace luna::worker
