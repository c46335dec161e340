#include "daemon/front/core/step_flow.h"

#include <algorithm>
#include <utility>

#include "common/local/socket.h"
#include "daemon/front/core/request_validation.h"

namespace luna::front {
namespace {

constexpr std::size_t kMostLoraFiles = 256;

}  // namespace

Result<std::map<std::string, std::string>> StepFlow::look_up(
    const Caller& caller, const std::vector<std::string>& files) const {
  if (files.size() > kMostLoraFiles) {
    return error(StatusCode::kInvalidArgument, "lora_files: at most {} are taken, found {}",
                 kMostLoraFiles, files.size());
  }
  DenoiseRow row;
  for (const std::string& file : files) row.loras.push_back({.path = file});
  JobRequest request = DenoiseRequest{.rows = {std::move(row)}};
  LUNA_RETURN_IF_ERROR(jobs_->look_up_files(caller, request));
  const DenoiseRow& found = std::get<DenoiseRequest>(request).rows.front();
  std::map<std::string, std::string> paths;
  for (std::size_t i = 0; i < files.size(); ++i) paths[files[i]] = found.loras[i].path;
  return paths;
}

Result<UniqueFd> StepFlow::open(const Caller& caller, const std::vector<std::string>& lora_files) {
  StepsOpening opening;
  opening.workflow = caller.workflow_id;
  opening.rows_per_call = state_->config->limits.rows_per_call;
  LUNA_ASSIGN_OR_RETURN(opening.lora_files, look_up(caller, lora_files));
  LUNA_ASSIGN_OR_RETURN(auto sockets, socket_pair());
  auto& [ours, theirs] = sockets;
  std::shared_ptr<WorkerPort> port;
  {
    std::lock_guard lock(state_->mutex);
    FrontState& state = *state_;
    state.touch();
    const JobRequest evaluation = DenoiseRequest{};
    LUNA_RETURN_IF_ERROR(jobs_->admissible(caller, evaluation));
    LUNA_RETURN_IF_ERROR(state.sessions.check(caller.session_id));
    LUNA_ASSIGN_OR_RETURN(opening.models,
                          state.workflows.begin_call(caller.workflow_id, state.clock()));
    const Status fits = check_slots(evaluation, state.workflows.components_of(caller.workflow_id));
    state.workflows.end_call(caller.workflow_id, state.clock());
    LUNA_RETURN_IF_ERROR(fits.with_context(fmt::format("workflow '{}'", caller.workflow_id)));
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
    LUNA_ASSIGN_OR_RETURN(opening.id,
                          state.steps.open(caller.session_id, caller.workflow_id, *worker));
  }
  const StepsId id = opening.id;
  port->open_steps(std::move(opening), std::move(theirs));
  Deferred after;
  std::lock_guard lock(state_->mutex);
  // The workflow, say, was replaced between the two locks.
  if (const StepTable::Socket* closing = state_->steps.told(id)) tell(*closing, after);
  return std::move(ours);
}

void StepFlow::close(const Which& which, bool at_once, Deferred& after) {
  for (const StepTable::Socket& socket : state_->steps.close(which, at_once)) tell(socket, after);
}

void StepFlow::tell(const StepTable::Socket& socket, Deferred& after) {
  auto port = state_->workers.port(socket.worker);
  if (!port) return;
  after.add([port = std::move(port), id = socket.id, at_once = socket.at_once] {
    port->close_steps(id, at_once);
  });
}

}  // namespace luna::front
