#pragma once

#include <cstdint>
#include <vector>

#include "common/base/strong_id.h"
#include "daemon/front/core/clock.h"

namespace luna::front {

/// What a pool has to do, as the supervisor needs it to start and stop workers.
struct PoolLoad {
  struct Worker {
    WorkerId id;
    bool ready = false;      ///< else it starts, or restarts
    std::uint32_t jobs = 0;  ///< unfinished ones that it was given
    TimePoint idle_since;    ///< the end of its last job, or its start
  };
  std::vector<Worker> workers;  ///< those that are up or on their way; none that stays down
  std::uint64_t waiting = 0;    ///< jobs of its roles that no worker has yet
};

}  // namespace luna::front
