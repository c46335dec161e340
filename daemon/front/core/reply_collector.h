#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "common/types/job.h"

namespace luna::front {

/// Waits for the replies of several jobs and hands them on together, in the order of the jobs.
class ReplyCollector {
 public:
  using Done = std::function<void(std::vector<Result<JobReply>>)>;

  /// One receiver for each of `count` jobs; `done` is called by the last one, from its thread. With
  /// no jobs it is called at once.
  static std::vector<std::function<void(Result<JobReply>)>> receivers(std::size_t count, Done done);
};

}  // namespace luna::front
