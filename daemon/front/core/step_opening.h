#pragma once

#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "daemon/front/core/caller.h"
#include "daemon/front/core/front_state.h"
#include "daemon/front/core/job_flow.h"

namespace luna::front {

/// FrontCore::open_steps.
Result<UniqueFd> open_steps(FrontState& state, const JobFlow& jobs, const Caller& caller,
                            const std::vector<std::string>& lora_files);

}  // namespace luna::front
