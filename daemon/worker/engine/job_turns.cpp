#include "daemon/worker/engine/job_turns.h"

#include <algorithm>
#include <optional>

namespace luna::worker {

void JobTurns::enter(const void* job, const std::string& workflow) {
  if (jobs_.contains(job)) return;
  std::optional<std::uint64_t> fewest;
  for (const auto& [other, known] : jobs_) {
    if (known.workflow == workflow) fewest = std::min(fewest.value_or(known.rows), known.rows);
  }
  jobs_[job] = {workflow, fewest.value_or(0) / kRowsOfATurn * kRowsOfATurn};
}

void JobTurns::served(const void* job, std::uint64_t rows) {
  if (const auto known = jobs_.find(job); known != jobs_.end()) known->second.rows += rows;
}

std::uint64_t JobTurns::had(const void* job) const {
  const auto known = jobs_.find(job);
  return known == jobs_.end() ? 0 : known->second.rows / kRowsOfATurn;
}

}  // namespace luna::worker
