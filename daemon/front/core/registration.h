#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/types/info.h"
#include "daemon/front/core/caller.h"
#include "daemon/front/core/front_state.h"
#include "daemon/front/core/job_flow.h"

namespace luna::front {

/// FrontCore::register_workflow: looks the files up, has those inspected that the cache does not
/// know, gives each slot its file, loads them when `preload` says so, and only then puts the set in
/// place; step sockets of another set that was there end. Any failure leaves the old registration
/// as it was.
void register_workflow(std::shared_ptr<FrontState> state, std::shared_ptr<JobFlow> flow,
                       const Caller& caller, std::string id, RequestedModels requested,
                       std::uint32_t ttl_seconds, bool preload,
                       std::function<void(Result<WorkflowInfo>)> done);

}  // namespace luna::front
