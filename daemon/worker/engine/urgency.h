#pragma once

#include <compare>
#include <cstdint>

#include "common/types/job.h"

namespace luna::worker {

/// Who goes first; the smaller is the more urgent: priority, then the workflow that had less of the
/// device, then the older job.
struct Urgency {
  Priority priority = Priority::kNormal;
  double served_seconds = 0;
  std::uint64_t order = 0;
  auto operator<=>(const Urgency&) const = default;
};

}  // namespace luna::worker
