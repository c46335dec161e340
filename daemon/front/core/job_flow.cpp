#include "daemon/front/core/job_flow.h"

#include <algorithm>
#include <utility>

#include "common/types/request_tensors.h"
#include "daemon/front/core/request_validation.h"

namespace luna::front {
namespace {

bool is_for_all_workers(const JobRequest& request) {
  return std::holds_alternative<UnloadModelRequest>(request) ||
         std::holds_alternative<RestoreModelRequest>(request);
}

Status draining() {
  return error(StatusCode::kFailedPrecondition, "the daemon is stopping and takes no new calls");
}

std::vector<std::string> files_used(const JobRequest& request, const ModelSet& models) {
  if (const auto* load = std::get_if<LoadModelRequest>(&request)) return {load->model.path};
  std::vector<std::string> files;
  for (const Slot slot : slots_used(request, models)) files.push_back(models.slots.at(slot).path);
  return files;
}

}  // namespace

// --- admission ---

Status JobFlow::admissible(const Caller& caller, const JobRequest& request) const {
  if (state_->draining) return draining();
  if (caller.deadline.expired()) {
    return error(StatusCode::kDeadlineExceeded, "the call's deadline had passed when it came");
  }
  if (needs_workflow(request) && caller.workflow_id.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "{} needs a workflow: metadata luna-workflow-id is missing", job_kind(request));
  }
  LUNA_RETURN_IF_ERROR(state_->jobs.check_room(caller.workflow_id));
  if (!caller.session_id.empty()) LUNA_RETURN_IF_ERROR(state_->sessions.check(caller.session_id));
  if (wants_keep(request) && caller.session_id.empty()) {
    return error(StatusCode::kFailedPrecondition,
                 "keep needs a session: metadata luna-session-id is missing");
  }
  return workers_for(role_needed(request));
}

Status JobFlow::workers_for(std::optional<Role> role) const {
  if (!state_->workers.serves(role)) {
    return error(StatusCode::kFailedPrecondition,
                 "no [[pool]] of this daemon has the role '{}' among its roles", role_name(*role));
  }
  if (state_->workers.hope(role)) return {};
  return error(StatusCode::kUnavailable, "every worker{} is down for good; the last one: {}",
               role ? fmt::format(" of role '{}'", role_name(*role)) : "",
               state_->workers.last_exit());
}

Status JobFlow::look_up_files(const Caller& caller, JobRequest& request) const {
  const ModelRoots& roots = state_->roots;
  const auto replace = [&](std::string& path, const std::vector<std::string_view>& kinds) {
    Result<std::string> found = roots.find(path, kinds, caller.local);
    if (!found.ok()) return found.status();
    path = *found;
    return Status();
  };
  if (auto* inspect = std::get_if<InspectModelRequest>(&request)) {
    return replace(inspect->path, ModelRoots::all_kinds());
  }
  if (auto* load = std::get_if<LoadModelRequest>(&request)) {
    return replace(load->model.path, ModelRoots::kinds_of(load->slot));
  }
  if (auto* unload = std::get_if<UnloadModelRequest>(&request)) {
    LUNA_RETURN_IF_ERROR(replace(unload->path, ModelRoots::all_kinds()));
    std::lock_guard lock(state_->mutex);
    if (!state_->pins.contains(unload->path)) return {};
    return error(StatusCode::kFailedPrecondition,
                 "{} is pinned and stays loaded; `luna models unpin` ends that", unload->path);
  }
  if (auto* restore = std::get_if<RestoreModelRequest>(&request)) {
    return replace(restore->path, ModelRoots::all_kinds());
  }
  return for_each_lora(request, [&](LoraRef& lora) -> Status {
    if (UploadStore::is_name(lora.path)) {
      LUNA_ASSIGN_OR_RETURN(lora.path, state_->uploads.find(lora.path));
      return {};
    }
    return replace(lora.path, ModelRoots::lora_kinds()).with_context("lora");
  });
}

Status JobFlow::resolve_places(const Caller& caller, JobRequest& request) const {
  return for_each_tensor(request, [&](TensorRef& tensor, const std::string& name) -> Status {
    if (const auto* region = std::get_if<SharedRegion>(&tensor.place)) {
      auto bytes = state_->regions.find(caller.session_id, *region, tensor.spec);
      if (!bytes.ok()) return bytes.status().with_context(name);
      tensor.place = *std::move(bytes);
      return {};
    }
    const auto* resident = std::get_if<ResidentTensor>(&tensor.place);
    if (!resident) return {};
    Result<TensorRef> kept =
        state_->sessions.find(caller.session_id, caller.workflow_id, resident->id);
    if (!kept.ok()) return kept.status().with_context(name);
    const TensorSpec said = tensor.spec;
    const bool spec_given = said != TensorSpec{};
    if (spec_given) LUNA_RETURN_IF_ERROR(said.validate().with_context(name));
    if (spec_given && (said.dtype != kept->spec.dtype || said.numel() != kept->spec.numel())) {
      return error(StatusCode::kInvalidArgument, "{}: tensor '{}' is {}, the call says {}", name,
                   resident->id, kept->spec.to_string(), said.to_string());
    }
    tensor = *std::move(kept);
    if (spec_given) tensor.spec = said;
    return {};
  });
}

JobId JobFlow::submit(const Caller& caller, JobRequest request, JobEvents events) {
  JobId id;
  const auto prepare = [&]() -> Status {
    {
      std::lock_guard lock(state_->mutex);
      state_->touch();
      id = state_->jobs.next_id();
      LUNA_RETURN_IF_ERROR(admissible(caller, request));
    }
    LUNA_RETURN_IF_ERROR(plain_handles(request));
    LUNA_RETURN_IF_ERROR(validate_places(request, state_->config->limits));
    LUNA_RETURN_IF_ERROR(look_up_files(caller, request));
    {
      std::lock_guard lock(state_->mutex);
      LUNA_RETURN_IF_ERROR(resolve_places(caller, request));
    }
    return validate_request(request, state_->config->limits);
  };
  Status status = prepare();
  if (status.ok() && is_for_all_workers(request)) {
    run_everywhere(caller, request, std::move(events));
    return id;
  }
  if (status.ok()) status = admit(caller, id, request, events);
  if (!status.ok()) refuse(status, std::move(events));
  return id;
}

Status JobFlow::admit(const Caller& caller, JobId id, JobRequest& request, JobEvents& events) {
  std::unique_lock lock(state_->mutex);
  LUNA_RETURN_IF_ERROR(admissible(caller, request));
  JobRecord record;
  ModelSet models;
  record.role = role_needed(request);
  LUNA_RETURN_IF_ERROR(choose_device(caller, request, record));
  if (needs_workflow(request)) {
    LUNA_ASSIGN_OR_RETURN(models,
                          state_->workflows.begin_call(caller.workflow_id, state_->clock()));
    const auto& components = state_->workflows.components_of(caller.workflow_id);
    if (Status status = check_slots(request, components); !status.ok()) {
      state_->workflows.end_call(caller.workflow_id, state_->clock());
      return status.with_context(fmt::format("workflow '{}'", caller.workflow_id));
    }
    record.calls_workflow = true;
  }
  record.session = caller.session_id;
  record.keep = wants_keep(request);
  record.admitted = state_->clock();
  record.files = files_used(request, models);
  record.events = std::move(events);
  record.job = std::make_shared<const Job>(
      Job{id, caller.workflow_id, caller.priority, caller.deadline, std::move(models),
          std::move(request), caller.session_id, record.cuda_results});
  lock.unlock();
  const Status entered = enter(record);
  if (!entered.ok()) events = std::move(record.events);
  return entered;
}

Status JobFlow::enter(JobRecord& record) {
  bool somebody_is_suspected = false;
  {
    std::lock_guard lock(state_->mutex);
    somebody_is_suspected = !state_->poison.empty();
  }
  // Every byte of the request is read for it, which most days nobody has to pay for.
  if (somebody_is_suspected) record.fingerprint = state_->fingerprint(*record.job);
  Deferred after;
  std::lock_guard lock(state_->mutex);
  const auto may_enter = [&]() -> Status {
    if (!record.internal) {
      if (state_->draining) return draining();
      // Again: other calls may have come in since it was admissible, and the limit is exact.
      LUNA_RETURN_IF_ERROR(state_->jobs.check_room(record.job->workflow));
    }
    if (!record.session.empty()) LUNA_RETURN_IF_ERROR(state_->sessions.check(record.session));
    return state_->poison.refusal(record.fingerprint, state_->clock());
  };
  if (Status status = may_enter(); !status.ok()) {
    if (record.calls_workflow) {
      state_->workflows.end_call(record.job->workflow, state_->clock());
    }
    return status;
  }
  record.suspect = state_->poison.suspected(record.fingerprint, state_->clock());
  state_->cuda.begin_use(record.leases);
  state_->jobs.add(std::move(record));
  dispatch(after);
  return {};
}

void JobFlow::refuse(const Status& why, JobEvents events) {
  {
    std::lock_guard lock(state_->mutex);
    JobTotals& totals = state_->jobs.counters();
    ++totals.refused;
    // Under overload thousands are refused: every 1000th says so, the others are only counted.
    if (why.code() == StatusCode::kResourceExhausted && totals.refused % 1000 == 1) {
      state_->events.add(fmt::format("refused ({} so far): {}", totals.refused, why.message()));
    }
  }
  if (events.on_done) events.on_done(why);
}

void JobFlow::submit_internal(const Caller& caller, JobRequest request, ModelSet models,
                              Receiver receiver) {
  std::unique_lock lock(state_->mutex);
  if (const Status why = workers_for(role_needed(request)); !why.ok()) {
    lock.unlock();
    return receiver(why);
  }
  JobRecord record;
  record.internal = true;
  record.files = files_used(request, models);
  record.role = role_needed(request);
  record.events.on_done = std::move(receiver);
  record.job =
      std::make_shared<const Job>(Job{state_->jobs.next_id(), "", caller.priority, caller.deadline,
                                      std::move(models), std::move(request)});
  lock.unlock();
  if (Status entered = enter(record); !entered.ok()) record.events.on_done(std::move(entered));
}

// --- at the workers ---

void JobFlow::dispatch(Deferred& after) {
  std::vector<std::optional<Role>> roles(kAllRoles.begin(), kAllRoles.end());
  roles.push_back(std::nullopt);
  for (const std::optional<Role> role : roles) {
    const Status none_will_come = workers_for(role);
    if (none_will_come.ok()) continue;
    for (const JobId id : state_->jobs.queued(role)) finish(id, none_will_come, after);
  }
  end_lost_devices(after);
  dispatch_suspect(after);
  std::set<Seat> full;
  while (JobRecord* record = state_->jobs.next_queued(full)) {
    const bool at_hand = std::ranges::all_of(
        record->files, [&](const std::string& file) { return state_->host_shelf.holds(file); });
    if (const auto worker = state_->workers.choose(
            {record->files, record->role, at_hand, record->device_uuid}, state_->clock())) {
      start(*record, *worker, after);
    } else {
      full.insert(record->seat());
    }
  }
}

void JobFlow::dispatch_suspect(Deferred& after) {
  if (!state_->jobs.has_suspects()) return state_->workers.end_isolation();
  JobRecord* suspect = state_->jobs.next_suspect();
  if (!suspect) return;
  const auto worker = state_->workers.isolate(suspect->files, suspect->role, suspect->device_uuid);
  if (worker) start(*suspect, *worker, after);
}

void JobFlow::start(JobRecord& record, WorkerId worker, Deferred& after) {
  state_->jobs.to_worker(record, worker, state_->workers.life(worker));
  after.add([self = shared_from_this(), port = state_->workers.take(worker, record.files),
             job = record.job, number = record.runs] { self->run(port, job, number); });
}

void JobFlow::run(const std::shared_ptr<WorkerPort>& port, const std::shared_ptr<const Job>& job,
                  std::uint32_t run_number) {
  const JobId id = job->id;
  JobEvents events;
  events.on_progress = [flow = weak_from_this(), id, run_number](const SampleProgress& progress) {
    if (const auto self = flow.lock()) self->on_progress(id, run_number, progress);
  };
  events.on_done = [flow = weak_from_this(), id, run_number,
                    from = std::weak_ptr(port)](Result<JobReply> result) {
    if (const auto self = flow.lock())
      self->on_done(id, run_number, from.lock(), std::move(result));
  };
  port->run(*job, std::move(events));

  Deferred after;
  std::lock_guard lock(state_->mutex);
  JobRecord* record = state_->jobs.find(id);
  if (!record || record->runs != run_number || !record->worker) return;
  record->sent = true;
  if (record->cancel_requested) after.add([port, id] { port->cancel(id); });
}

void JobFlow::on_progress(JobId id, std::uint32_t run_number, const SampleProgress& progress) {
  std::function<void(const SampleProgress&)> tell;
  {
    std::lock_guard lock(state_->mutex);
    JobRecord* record = state_->jobs.find(id);
    if (!record || record->runs != run_number || !record->worker) return;
    const bool seen = run_number > 1 && progress.step <= record->last_step;
    if (seen || record->cancel_requested) return;
    record->last_step = progress.step;
    tell = record->events.on_progress;
  }
  if (tell) tell(progress);
}

void JobFlow::on_done(JobId id, std::uint32_t run_number, const std::shared_ptr<WorkerPort>& port,
                      Result<JobReply> result) {
  Deferred after;
  std::lock_guard lock(state_->mutex);
  JobRecord* record = state_->jobs.find(id);
  if (!record || record->runs != run_number || !record->worker) {
    after.add([port, result = std::move(result)]() mutable { give_back(port, result); });
    return;
  }
  state_->workers.release(*record->worker, record->worker_life, state_->clock());
  if (!result.ok() && result.status().code() == StatusCode::kUnavailable) {
    on_unavailable(*record, result.status(), after);
  } else {
    const StatusCode code = result.status().code();
    const bool cut_short = code == StatusCode::kCancelled || code == StatusCode::kDeadlineExceeded;
    if (record->suspect && !cut_short) state_->poison.clear(record->fingerprint);
    finish(id, std::move(result), after);
  }
  dispatch(after);
}

void JobFlow::on_unavailable(JobRecord& record, const Status& why, Deferred& after) {
  const JobId id = record.job->id;
  const bool reached_it = state_->workers.orphan(*record.worker, record.worker_life, record.job);
  if (record.cancel_requested) {
    finish(id, error(StatusCode::kCancelled, "cancelled"), after);
  } else if (record.pinned) {
    finish(id, why, after);
  } else {
    state_->jobs.to_orphans(record);
    if (reached_it) return;
    ++record.not_begun;
    run_again(record, why.message(), after);
  }
}

void JobFlow::requeue_orphans(WorkerId worker, Deferred& after) {
  for (const auto& job : state_->workers.take_orphans(worker)) {
    JobRecord* record = state_->jobs.find(job->id);
    if (record && record->orphaned) run_again(*record, "it did not take the call", after);
  }
}

void JobFlow::run_again(JobRecord& record, const std::string& why, Deferred& after) {
  const JobId id = record.job->id;
  if (record.job->deadline.expired()) {
    finish(id,
           error(StatusCode::kDeadlineExceeded,
                 "the deadline passed while a worker was being replaced"),
           after);
  } else if (record.deaths() > state_->config->limits.max_reruns) {
    finish(id,
           error(StatusCode::kUnavailable, "{} workers died under this call; the last one: {}",
                 record.deaths(), why),
           after);
  } else {
    state_->jobs.to_queue(record);
  }
}

// --- ends ---

void JobFlow::cancel(JobId id) {
  Deferred after;
  std::lock_guard lock(state_->mutex);
  if (JobRecord* record = state_->jobs.find(id)) request_cancel(*record, after);
  dispatch(after);  // A suspect may have kept a worker from the others.
}

void JobFlow::request_cancel(JobRecord& record, Deferred& after) {
  if (!record.worker) {
    finish(record.job->id, error(StatusCode::kCancelled, "cancelled before it ran"), after);
    return;
  }
  if (std::exchange(record.cancel_requested, true) || !record.sent) return;
  if (auto port = state_->workers.port(*record.worker)) {
    after.add([port = std::move(port), id = record.job->id] { port->cancel(id); });
  }
}

void JobFlow::cancel_session_jobs(const std::string& session, Deferred& after) {
  for (const JobId id : state_->jobs.of_session(session)) {
    if (JobRecord* record = state_->jobs.find(id)) request_cancel(*record, after);
  }
}

void JobFlow::end_overdue(Deferred& after) {
  for (const JobId id : state_->jobs.overdue()) {
    finish(id,
           error(StatusCode::kDeadlineExceeded,
                 "the deadline passed while the call waited for a worker"),
           after);
  }
}

void JobFlow::finish(JobId id, Result<JobReply> result, Deferred& after) {
  JobRecord record = state_->jobs.remove(id, state_->clock());
  release(state_->cuda.end_use(record.leases), after);
  if (result.ok()) result = name_leases(record, std::move(result).value(), after);
  if (result.ok() && record.keep) result = keep_tensors(record, std::move(result).value());
  if (record.calls_workflow) state_->workflows.end_call(record.job->workflow, state_->clock());
  if (!record.internal) {
    JobTotals& totals = state_->jobs.counters();
    const StatusCode code = result.status().code();
    ++(result.ok()                      ? totals.done
       : code == StatusCode::kCancelled ? totals.cancelled
                                        : totals.failed);
  }
  state_->touch();
  if (record.events.on_done) {
    after.add([on_done = std::move(record.events.on_done), result = std::move(result)]() mutable {
      on_done(std::move(result));
    });
  }
  notice_idle(after);
}

Result<JobReply> JobFlow::keep_tensors(const JobRecord& record, JobReply reply) {
  std::vector<std::string> kept;
  const Status status =
      for_each_tensor(reply, [&](TensorRef& tensor, const std::string&) -> Status {
        LUNA_ASSIGN_OR_RETURN(tensor,
                              state_->sessions.keep(record.session, record.job->workflow, tensor));
        kept.push_back(std::get<ResidentTensor>(tensor.place).id);
        return {};
      });
  if (status.ok()) return reply;
  if (!kept.empty()) {
    (void)state_->sessions.free(record.session, record.job->workflow, kept);
  }
  return status.with_context("keep");
}

void JobFlow::notice_idle(Deferred& after) {
  if (!state_->draining || state_->busy()) return;
  for (auto& idle : std::exchange(state_->when_idle, {})) after.add(std::move(idle));
}

void JobFlow::abandon_all(const Status& why) {
  Deferred after;
  std::lock_guard lock(state_->mutex);
  std::vector<JobId> ids = state_->jobs.all();
  for (const JobId id : ids) finish(id, why, after);
}

}  // namespace luna::front
