#include "daemon/front/core/step_opening.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/local/descriptors.h"
#include "common/local/socket.h"
#include "daemon/front/core/request_validation.h"

namespace luna::front {
namespace {

constexpr std::size_t kMostLoraFiles = 256;

Result<std::map<std::string, std::string>> paths_of(const JobFlow& jobs, const Caller& caller,
                                                    const std::vector<std::string>& files) {
  if (files.size() > kMostLoraFiles) {
    return error(StatusCode::kInvalidArgument, "lora_files: at most {} are taken, found {}",
                 kMostLoraFiles, files.size());
  }
  DenoiseRow row;
  for (const std::string& file : files) row.loras.push_back({.path = file});
  JobRequest request = DenoiseRequest{.rows = {std::move(row)}};
  LUNA_RETURN_IF_ERROR(jobs.look_up_files(caller, request));
  const DenoiseRow& found = std::get<DenoiseRequest>(request).rows.front();
  std::map<std::string, std::string> paths;
  for (std::size_t i = 0; i < files.size(); ++i) paths[files[i]] = found.loras[i].path;
  return paths;
}

/// The models of the caller's workflow; a use of it.
Result<ModelSet> models_of(FrontState& state, const Caller& caller, const JobRequest& evaluation) {
  LUNA_ASSIGN_OR_RETURN(ModelSet models,
                        state.workflows.begin_call(caller.workflow_id, state.clock()));
  const Status fits = check_slots(evaluation, state.workflows.components_of(caller.workflow_id));
  state.workflows.end_call(caller.workflow_id, state.clock());
  LUNA_RETURN_IF_ERROR(fits.with_context(fmt::format("workflow '{}'", caller.workflow_id)));
  return models;
}

}  // namespace

Result<UniqueFd> open_steps(FrontState& state, const JobFlow& jobs, const Caller& caller,
                            const std::vector<std::string>& lora_files) {
  const JobRequest evaluation = DenoiseRequest{};
  StepsOpening opening;
  opening.workflow = caller.workflow_id;
  opening.rows_per_call = state.config->limits.rows_per_call;
  LUNA_ASSIGN_OR_RETURN(opening.lora_files, paths_of(jobs, caller, lora_files));
  LUNA_ASSIGN_OR_RETURN(auto sockets, socket_pair());
  auto& [clients, workers] = sockets;
  LUNA_ASSIGN_OR_RETURN(UniqueFd served, duplicate(workers.get()));
  std::shared_ptr<WorkerPort> port;
  {
    std::lock_guard lock(state.mutex);
    state.touch();
    LUNA_RETURN_IF_ERROR(jobs.admissible(caller, evaluation));
    LUNA_RETURN_IF_ERROR(state.sessions.check(caller.session_id));
    LUNA_ASSIGN_OR_RETURN(opening.models, models_of(state, caller, evaluation));
    std::vector<std::string> files;
    for (const Slot slot : slots_used(evaluation, opening.models))
      files.push_back(opening.models.slots.at(slot).path);
    const bool at_hand = std::ranges::all_of(
        files, [&](const std::string& file) { return state.host_shelf.holds(file); });
    const auto worker = state.workers.choose({files, Role::kUnet, at_hand}, state.clock());
    port = worker ? state.workers.port(*worker) : nullptr;
    if (!port) {
      return error(StatusCode::kUnavailable,
                   "no worker is free to serve a step socket; call Primitives.Denoise meanwhile, "
                   "and retry in 1000 ms");
    }
    LUNA_ASSIGN_OR_RETURN(opening.id, state.steps.open(caller.session_id, caller.workflow_id,
                                                       *worker, std::move(served)));
  }
  // The workflow may be replaced from here on: then the socket has ended before it is served.
  port->open_steps(std::move(opening), std::move(workers));
  return std::move(clients);
}

}  // namespace luna::front
