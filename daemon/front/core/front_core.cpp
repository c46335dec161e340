#include "daemon/front/core/front_core.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/config/version.h"
#include "common/log/log.h"
#include "common/types/sampling_names.h"
#include "daemon/front/core/deferred.h"
#include "daemon/front/core/front_state.h"
#include "daemon/front/core/job_flow.h"
#include "daemon/front/core/plane_desk.h"
#include "daemon/front/core/registration.h"
#include "daemon/front/core/request_validation.h"
#include "daemon/front/core/step_opening.h"

namespace luna::front {
namespace {

/// The list as clients see it: with the hashes and sizes of what was loaded meanwhile.
std::vector<WorkflowInfo> workflows_of(const FrontState& state) {
  std::vector<WorkflowInfo> workflows = state.workflows.list(state.clock());
  for (WorkflowInfo& workflow : workflows) {
    for (const auto& [slot, model] : workflow.models.slots) {
      workflow.model_bytes += state.workers.loaded_bytes(model.path, slot);
    }
    workflow.tensor_bytes = state.sessions.bytes_of_workflow(workflow.id);
    for (ComponentInfo& component : workflow.components) {
      const auto model = workflow.models.slots.find(component.slot);
      if (model == workflow.models.slots.end()) continue;
      component.content_hash = state.workers.content_hash(model->second.path, component.slot);
    }
  }
  return workflows;
}

/// Tells those who shall read for themselves.
void let_read(WeightSeekers::Answers answers, Deferred& after) {
  for (WeightSeekers::Answer& answer : answers) {
    after.add([answer = std::move(answer)] { answer(std::nullopt); });
  }
}

}  // namespace

struct FrontCore::Impl {
  Impl(std::shared_ptr<const Config> config, ModelRoots roots, Clock clock,
       Fingerprinter fingerprint)
      : state(std::make_shared<FrontState>(std::move(config), std::move(roots), std::move(clock),
                                           std::move(fingerprint))),
        flow(std::make_shared<JobFlow>(state)),
        planes(state) {}

  /// Tells the shelf and every worker; with `pins_order` held and the state's mutex not.
  void tell_pins() {
    std::vector<std::shared_ptr<WorkerPort>> ports;
    std::vector<std::string> paths;
    {
      std::lock_guard lock(state->mutex);
      paths = state->pins.list();
      state->host_shelf.set_pins({paths.begin(), paths.end()});
      ports = state->workers.ports();
    }
    for (const auto& port : ports) port->pin(paths);
  }

  std::shared_ptr<FrontState> state;
  std::shared_ptr<JobFlow> flow;
  PlaneDesk planes;
  std::mutex pins_order;  ///< workers are told of pins in the order of the changes
};

FrontCore::FrontCore(std::shared_ptr<const Config> config, Clock clock, Fingerprinter fingerprint) {
  if (!clock) clock = [] { return std::chrono::steady_clock::now(); };
  if (!fingerprint) {
    fingerprint = [](const Job& job) { return fmt::format("job {}", job.id.value); };
  }
  Result<ModelRoots> roots = ModelRoots::open(config->models);
  impl_ = std::make_unique<Impl>(std::move(config), roots.ok() ? *roots : ModelRoots(),
                                 std::move(clock), std::move(fingerprint));
  if (!roots.ok()) add_event(roots.status().message());
}

FrontCore::~FrontCore() { end_all(error(StatusCode::kUnavailable, "the daemon has stopped")); }

UploadStore& FrontCore::uploads() { return impl_->state->uploads; }

PlaneDesk& FrontCore::planes() { return impl_->planes; }

// --- workflows ---

void FrontCore::register_workflow(const Caller& caller, std::string id, RequestedModels requested,
                                  std::uint32_t ttl_seconds, bool preload, WorkflowDone done) {
  front::register_workflow(impl_->state, impl_->flow, caller, std::move(id), std::move(requested),
                           ttl_seconds, preload, std::move(done));
}

Result<std::uint32_t> FrontCore::renew_workflow(const std::string& id) {
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  return impl_->state->workflows.renew(id, impl_->state->clock());
}

Status FrontCore::release_workflow(const std::string& id) {
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  LUNA_RETURN_IF_ERROR(impl_->state->workflows.release(id));
  impl_->state->steps.end_of_workflow(id);
  return {};
}

std::vector<WorkflowInfo> FrontCore::list_workflows() const {
  std::lock_guard lock(impl_->state->mutex);
  return workflows_of(*impl_->state);
}

// --- jobs ---

JobId FrontCore::submit(const Caller& caller, JobRequest request, JobEvents events) {
  return impl_->flow->submit(caller, std::move(request), std::move(events));
}

void FrontCore::cancel(JobId job) { impl_->flow->cancel(job); }

// --- step sockets ---

Result<UniqueFd> FrontCore::open_steps(const Caller& caller,
                                       const std::vector<std::string>& lora_files) {
  return front::open_steps(*impl_->state, *impl_->flow, caller, lora_files);
}

// --- models ---

Result<std::vector<ModelFileInfo>> FrontCore::list_model_files(const Caller& caller,
                                                               const std::string& folder) const {
  return impl_->state->roots.list(folder, caller.local);
}

Result<std::string> FrontCore::pin_model(const Caller& caller, const std::string& file) {
  FrontState& state = *impl_->state;
  LUNA_ASSIGN_OR_RETURN(std::string path,
                        state.roots.find(file, ModelRoots::all_kinds(), caller.local));
  std::lock_guard order(impl_->pins_order);
  {
    std::lock_guard lock(state.mutex);
    state.touch();
    LUNA_RETURN_IF_ERROR(state.pins.pin(path));
  }
  impl_->tell_pins();
  return path;
}

Result<std::string> FrontCore::unpin_model(const Caller& caller, const std::string& file) {
  FrontState& state = *impl_->state;
  const auto found = state.roots.find(file, ModelRoots::all_kinds(), caller.local);
  const std::string path = found.ok() ? *found : file;
  std::lock_guard order(impl_->pins_order);
  {
    std::lock_guard lock(state.mutex);
    state.touch();
    LUNA_RETURN_IF_ERROR(state.pins.unpin(path));
  }
  impl_->tell_pins();
  return path;
}

// --- sessions and resident tensors ---

std::string FrontCore::open_session(const std::string& client_name, const std::string& host_id) {
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  FrontState& state = *impl_->state;
  Result<std::string> session = state.sessions.open(client_name);
  if (session.ok()) {
    state.planes.begin(*session, state.sessions.client_of(*session), host_id, state.clock());
    return *session;
  }
  state.events.add(session.status().message());
  return "";
}

void FrontCore::close_session(const std::string& session_id) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  if (!impl_->state->sessions.close(session_id)) return;
  impl_->planes.end(session_id, after);
  impl_->flow->end_session_on_devices(session_id, after);
  impl_->flow->cancel_session_jobs(session_id, after);
  impl_->state->steps.end_of_session(session_id);
}

Result<TensorRef> FrontCore::put_tensor(const Caller& caller, TensorSpec spec, BytesPtr bytes) {
  LUNA_RETURN_IF_ERROR(validate_upload(spec, bytes, impl_->state->config->limits));
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  return impl_->state->sessions.keep(caller.session_id, caller.workflow_id,
                                     TensorRef{std::move(spec), std::move(bytes)});
}

Result<TensorRef> FrontCore::get_tensor(const Caller& caller, const std::string& id) const {
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  return impl_->state->sessions.find(caller.session_id, caller.workflow_id, id);
}

Result<std::uint64_t> FrontCore::free_tensors(const Caller& caller,
                                              const std::vector<std::string>& ids) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  FrontState& state = *impl_->state;
  std::vector<std::string> tensors;
  std::set<std::string> leases;
  std::uint64_t bytes = 0;
  for (const std::string& id : ids) {
    if (!state.cuda.knows(id)) {
      tensors.push_back(id);
      continue;
    }
    const Status theirs = state.cuda.check(caller.session_id, id);
    if (!theirs.ok() && theirs.code() != StatusCode::kDataLoss) return theirs;
    if (leases.insert(id).second) bytes += state.cuda.bytes_of(id);
  }
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t freed,
                        state.sessions.free(caller.session_id, caller.workflow_id, tensors));
  impl_->flow->release(state.cuda.free({leases.begin(), leases.end()}), after);
  return freed + bytes;
}

Result<std::vector<std::string>> FrontCore::confirm_cuda(const Caller& caller,
                                                         const std::string& lease_id,
                                                         const std::string& nonce) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->touch();
  FrontState& state = *impl_->state;
  const auto confirmed = state.cuda.confirm(caller.session_id, lease_id, nonce);
  // A piece that was asked about has served, whatever was read there.
  if (confirmed.ok() || confirmed.status().code() == StatusCode::kFailedPrecondition)
    impl_->flow->release(state.cuda.free({lease_id}), after);
  LUNA_RETURN_IF_ERROR(confirmed.status());
  return state.cuda.devices(caller.session_id);
}

// --- workers ---

void FrontCore::describe_pool(PoolInfo pool) {
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->workers.describe_pool(std::move(pool));
}

PoolLoad FrontCore::pool_load(const std::string& pool) const {
  std::lock_guard lock(impl_->state->mutex);
  const FrontState& state = *impl_->state;
  PoolLoad load = state.workers.load(pool);
  for (const Role role : state.workers.roles_of(pool)) load.waiting += state.jobs.waiting(role);
  load.waiting += state.jobs.waiting(std::nullopt);
  return load;
}

bool FrontCore::retire_worker(WorkerId id) {
  std::lock_guard lock(impl_->state->mutex);
  if (impl_->state->cuda.holds(id) || !impl_->state->workers.retire(id)) return false;
  impl_->state->events.add(fmt::format("worker {} has been idle and is stopped", id.value));
  return true;
}

void FrontCore::worker_starting(WorkerId id, std::string pool, std::int64_t pid) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  impl_->flow->requeue_orphans(id, after);
  impl_->state->events.add(fmt::format("worker {} of pool {} starts, pid {}", id.value, pool, pid));
  impl_->state->workers.starting(id, std::move(pool), pid, impl_->state->clock());
}

void FrontCore::worker_ready(std::shared_ptr<WorkerPort> port, std::string device) {
  const std::shared_ptr<WorkerPort> newcomer = port;
  std::unique_lock order(impl_->pins_order);
  {
    std::unique_lock lock(impl_->state->mutex);
    const std::vector<std::string> paths = impl_->state->pins.list();
    lock.unlock();
    if (!paths.empty()) newcomer->pin(paths);
  }
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->events.add(fmt::format("worker {} is ready: {}", port->id().value, device));
  impl_->flow->requeue_orphans(port->id(), after);
  impl_->state->workers.ready(std::move(port), std::move(device), impl_->state->clock());
  order.unlock();
  impl_->flow->dispatch(after);
}

void FrontCore::worker_report(WorkerId id, WorkerReport report) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  FrontState& state = *impl_->state;
  const std::vector<std::string> used = state.steps.count(report.step_evaluations);
  for (const std::string& workflow : used)
    (void)state.workflows.renew(workflow, state.clock());  // it may have been released meanwhile
  if (!used.empty()) {
    state.workers.used(id, state.clock());
    state.touch();
  }
  if (impl_->state->workers.report(id, std::move(report), impl_->state->clock())) {
    impl_->flow->requeue_orphans(id, after);
    impl_->flow->dispatch(after);
  }
}

void FrontCore::worker_steps_ended(WorkerId id, StepsId steps, std::uint64_t evaluations) {
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->steps.ended(steps, evaluations);
  impl_->state->workers.used(id, impl_->state->clock());
}

bool FrontCore::worker_gone(WorkerId id, const WorkerEnd& end) {
  {
    Deferred after;
    std::lock_guard lock(impl_->state->mutex);
    let_read(impl_->state->seekers.gone(id), after);
    impl_->state->cuda.worker_gone(id);
  }
  const bool convicted = impl_->flow->worker_gone(id, end);
  // Until now a step socket may have been opened at it, which nobody would ever serve.
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->steps.worker_gone(id);
  return convicted;
}

void FrontCore::worker_given_up(WorkerId id) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  FrontState& state = *impl_->state;
  state.workers.given_up(id, state.draining);
  state.events.add(fmt::format("worker {} stays down", id.value));
  impl_->flow->dispatch(after);
}

void FrontCore::seek_weights(WorkerId worker, const ComponentSource& source, Found found) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  FrontState& state = *impl_->state;
  if (auto copy = state.host_shelf.find(source)) {
    after.add([found = std::move(found), copy = std::move(copy)] { found(copy); });
  } else {
    let_read(state.seekers.seek(source, worker, std::move(found), state.clock()), after);
  }
}

void FrontCore::keep_weights(WorkerId worker, const ComponentSource& source,
                             const HostWeights& weights) {
  if (const Status whole = weights.validate(); !whole.ok()) {
    log::logger("core").warn("weights that {} offered: {}", log::field(worker), whole.message());
    return read_failed(worker, source);
  }
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  FrontState& state = *impl_->state;
  ++state.component_reads;
  const Status kept = state.host_shelf.keep(source, weights);
  if (!kept.ok()) log::logger("core").warn("no host copy was kept: {}", kept.message());
  for (Found& found : state.seekers.offered(source)) {
    // What the shelf has no room for is still shared by those who wait for it.
    auto copy = kept.ok() ? state.host_shelf.find(source) : std::optional(weights);
    after.add([found = std::move(found), copy = std::move(copy)] { found(copy); });
  }
}

void FrontCore::read_failed(WorkerId worker, const ComponentSource& source) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  let_read(impl_->state->seekers.failed(source, worker), after);
}

void FrontCore::add_event(std::string text) {
  std::lock_guard lock(impl_->state->mutex);
  impl_->state->events.add(std::move(text));
}

// --- life ---

StatusInfo FrontCore::status() const {
  std::lock_guard lock(impl_->state->mutex);
  const FrontState& state = *impl_->state;
  StatusInfo info;
  info.version = kVersion;
  info.uptime_seconds = std::chrono::duration<double>(state.clock() - state.started).count();
  info.draining = state.draining;
  info.workflows = workflows_of(state);
  info.pools = state.workers.pools();
  info.workers = state.workers.list(state.clock());
  info.jobs = state.jobs.totals();
  info.queues = state.jobs.queues(state.clock());
  info.sessions = static_cast<std::uint32_t>(state.sessions.sessions());
  info.open_sessions = impl_->planes.list();
  info.regions = state.regions.all().regions;
  info.region_bytes = state.regions.all().bytes;
  info.resident_tensors = state.sessions.tensors();
  info.resident_bytes = state.sessions.bytes();
  info.host_copies = state.host_shelf.copies();
  info.host_copy_bytes = state.host_shelf.bytes();
  info.host_copy_hits = state.host_shelf.hits();
  info.component_reads = state.component_reads;
  info.step_sockets = state.steps.open_sockets();
  info.step_evaluations = state.steps.evaluations();
  info.pinned_files = state.pins.list();
  info.events = state.events.events();
  info.samplers = served_samplers();
  info.schedulers = served_schedulers();
  return info;
}

void FrontCore::drain(std::function<void()> idle) {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  if (!std::exchange(impl_->state->draining, true)) {
    impl_->state->events.add("draining: no new calls are taken");
    impl_->state->steps.end_all();
  }
  if (idle) impl_->state->when_idle.push_back(std::move(idle));
  impl_->flow->notice_idle(after);
}

void FrontCore::end_all(const Status& why) { impl_->flow->abandon_all(why); }

void FrontCore::tick() {
  Deferred after;
  std::lock_guard lock(impl_->state->mutex);
  FrontState& state = *impl_->state;
  for (const std::string& id : state.workflows.expire(state.clock())) {
    state.events.add(fmt::format("the lease of workflow '{}' ended", id));
    state.steps.end_of_workflow(id);
  }
  state.poison.expire(state.clock());
  let_read(state.seekers.overdue(state.clock()), after);
  impl_->planes.tell_fallbacks(after);
  impl_->flow->end_overdue(after);
}

std::chrono::nanoseconds FrontCore::idle_for() const {
  std::lock_guard lock(impl_->state->mutex);
  const FrontState& state = *impl_->state;
  if (state.busy() || state.sessions.sessions() > 0) return std::chrono::nanoseconds(0);
  return state.clock() - state.last_activity;
}

}  // namespace luna::front
