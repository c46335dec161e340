#pragma once

#include <string>

#include "common/base/deadline.h"
#include "common/types/job.h"

namespace luna::front {

/// Who calls, as the metadata of the call says.
struct Caller {
  std::string workflow_id;  ///< may be empty where a call needs none
  std::string session_id;   ///< empty: nothing may be kept
  Priority priority = Priority::kNormal;
  Deadline deadline;
  bool cuda_results = false;  ///< results shall stay on the GPU, for the client to read there
  bool local = true;          ///< over the unix socket: files outside the roots are allowed
};

}  // namespace luna::front
