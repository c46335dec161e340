#include "common/wire/status_wire.h"

#include "common/wire/utf8.h"

namespace luna::wire {
namespace {

void to_wire(const ForwardCounters& counters, v1::ForwardCounters* out) {
  out->set_forwards(counters.forwards);
  out->set_rows(counters.rows);
  for (const auto& [rows, count] : counters.batch_sizes) {
    (*out->mutable_batch_sizes())[static_cast<std::uint32_t>(rows)] = count;
  }
  out->set_seconds_on_device(counters.seconds_on_device);
}

Result<ForwardCounters> counters_from_wire(const v1::ForwardCounters& message,
                                           const FieldPath& path) {
  ForwardCounters counters;
  counters.forwards = message.forwards();
  counters.rows = message.rows();
  for (const auto& [rows, count] : message.batch_sizes()) {
    LUNA_ASSIGN_OR_RETURN(const int key, path.field("batch_sizes").to_int(rows));
    counters.batch_sizes[key] = count;
  }
  counters.seconds_on_device = message.seconds_on_device();
  return counters;
}

void to_wire(const JobTotals& jobs, v1::JobCounters* out) {
  out->set_accepted(jobs.accepted);
  out->set_done(jobs.done);
  out->set_failed(jobs.failed);
  out->set_cancelled(jobs.cancelled);
  out->set_refused(jobs.refused);
  out->set_rerun(jobs.rerun);
  out->set_running(jobs.running);
  out->set_queued(jobs.queued);
}

JobTotals totals_from_wire(const v1::JobCounters& message) {
  return {.accepted = message.accepted(),
          .done = message.done(),
          .failed = message.failed(),
          .cancelled = message.cancelled(),
          .refused = message.refused(),
          .rerun = message.rerun(),
          .running = message.running(),
          .queued = message.queued()};
}

void to_wire(const QueueInfo& queue, v1::QueueStatus* out) {
  out->set_workflow_id(queue.workflow);
  out->set_priority(std::string(priority_name(queue.priority)));
  out->set_jobs(queue.jobs);
  out->set_oldest_wait_seconds(queue.oldest_wait_seconds);
}

Result<QueueInfo> queue_from_wire(v1::QueueStatus& message, const FieldPath& path) {
  const auto priority = priority_from_name(message.priority());
  if (!priority) {
    return path.field("priority")
        .invalid("expected interactive, normal or bulk, found '{}'", message.priority());
  }
  return QueueInfo{.workflow = std::move(*message.mutable_workflow_id()),
                   .priority = *priority,
                   .jobs = message.jobs(),
                   .oldest_wait_seconds = message.oldest_wait_seconds()};
}

void to_wire(const PoolInfo& pool, v1::PoolStatus* out) {
  out->set_name(pool.name);
  for (const Role role : pool.roles) out->add_roles(std::string(role_name(role)));
  for (const std::string& device : pool.devices) out->add_devices(device);
  out->set_min_workers(pool.min_workers);
  out->set_max_workers(pool.max_workers);
  out->set_workers(pool.workers);
  out->set_jobs(pool.jobs);
}

Result<PoolInfo> pool_from_wire(v1::PoolStatus& message, const FieldPath& path) {
  PoolInfo pool;
  pool.name = std::move(*message.mutable_name());
  for (const std::string& name : message.roles()) {
    const auto role = role_from_name(name);
    if (!role) return path.field("roles").invalid("expected clip, vae or unet, found '{}'", name);
    pool.roles.push_back(*role);
  }
  pool.devices.assign(message.devices().begin(), message.devices().end());
  pool.min_workers = message.min_workers();
  pool.max_workers = message.max_workers();
  pool.workers = message.workers();
  pool.jobs = message.jobs();
  return pool;
}

void to_wire(const SessionInfo& session, v1::SessionStatus* out) {
  out->set_client_name(session.client_name);
  out->set_seconds_open(session.seconds_open);
  for (const std::string& plane : session.planes) out->add_planes(plane);
  out->set_tensors(session.tensors);
  out->set_tensor_bytes(session.tensor_bytes);
  out->set_regions(session.regions);
  out->set_region_bytes(session.region_bytes);
  out->set_fallback(session.fallback);
}

SessionInfo session_from_wire(v1::SessionStatus& message) {
  SessionInfo session;
  session.client_name = std::move(*message.mutable_client_name());
  session.seconds_open = message.seconds_open();
  session.planes.assign(message.planes().begin(), message.planes().end());
  session.tensors = message.tensors();
  session.tensor_bytes = message.tensor_bytes();
  session.regions = message.regions();
  session.region_bytes = message.region_bytes();
  session.fallback = std::move(*message.mutable_fallback());
  return session;
}

}  // namespace

void to_wire(const WorkerInfo& worker, v1::WorkerStatus* out) {
  out->set_worker_id(worker.id.value);
  out->set_pool(worker.pool);
  out->set_pid(worker.pid);
  out->set_state(worker.state);
  out->set_device(worker.device);
  out->set_restarts(worker.restarts);
  out->set_last_exit(worker.last_exit);
  out->set_jobs_running(worker.report.jobs_running);
  out->set_jobs_queued(worker.report.jobs_queued);
  out->set_jobs_done(worker.report.jobs_done);
  out->set_resident_bytes(worker.report.resident_bytes);
  for (const auto& [kind, counters] : worker.report.forwards) {
    to_wire(counters, &(*out->mutable_forwards())[kind]);
  }
  for (const LoadedModel& model : worker.report.models) {
    to_wire(model, worker.id, out->add_models());
  }
  out->set_seconds_since_heartbeat(worker.seconds_since_heartbeat);
  out->set_jobs_failed(worker.report.jobs_failed);
  out->set_jobs_cancelled(worker.report.jobs_cancelled);
  out->set_seconds_in_queue(worker.report.seconds_in_queue);
  out->set_step_in_progress_ms(worker.report.step_in_progress_ms);
  out->set_device_name(worker.report.device);
  out->set_peak_resident_bytes(worker.report.peak_resident_bytes);
  for (const auto& [kind, bytes] : worker.report.memory) (*out->mutable_memory())[kind] = bytes;
  for (const auto& [kind, files] : worker.report.files_read)
    (*out->mutable_files_read())[kind] = files;
  for (const auto& [where, overlays] : worker.report.overlays)
    (*out->mutable_overlays())[where] = overlays;
}

Result<WorkerInfo> from_wire(v1::WorkerStatus& message, const FieldPath& path) {
  WorkerInfo worker;
  worker.id = WorkerId{message.worker_id()};
  worker.pool = std::move(*message.mutable_pool());
  worker.pid = message.pid();
  worker.state = std::move(*message.mutable_state());
  worker.device = std::move(*message.mutable_device());
  worker.restarts = message.restarts();
  worker.last_exit = std::move(*message.mutable_last_exit());
  worker.seconds_since_heartbeat = message.seconds_since_heartbeat();
  WorkerReport& report = worker.report;
  report.device = std::move(*message.mutable_device_name());
  report.jobs_running = message.jobs_running();
  report.jobs_queued = message.jobs_queued();
  report.jobs_done = message.jobs_done();
  report.jobs_failed = message.jobs_failed();
  report.jobs_cancelled = message.jobs_cancelled();
  report.seconds_in_queue = message.seconds_in_queue();
  for (const auto& [kind, counters] : message.forwards()) {
    LUNA_ASSIGN_OR_RETURN(report.forwards[kind],
                          counters_from_wire(counters, path.entry("forwards", kind)));
  }
  for (int i = 0; i < message.models_size(); ++i) {
    const FieldPath model_path = path.item("models", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(report.models.emplace_back(),
                          from_wire(*message.mutable_models(i), model_path));
  }
  report.resident_bytes = message.resident_bytes();
  report.step_in_progress_ms = message.step_in_progress_ms();
  report.peak_resident_bytes = message.peak_resident_bytes();
  report.memory.insert(message.memory().begin(), message.memory().end());
  report.files_read.insert(message.files_read().begin(), message.files_read().end());
  report.overlays.insert(message.overlays().begin(), message.overlays().end());
  return worker;
}

void to_wire(const StatusInfo& status, v1::GetStatusResponse* out) {
  out->set_version(status.version);
  out->set_uptime_seconds(status.uptime_seconds);
  out->set_draining(status.draining);
  for (const WorkflowInfo& workflow : status.workflows) to_wire(workflow, out->add_workflows());
  for (const PoolInfo& pool : status.pools) to_wire(pool, out->add_pools());
  for (const WorkerInfo& worker : status.workers) to_wire(worker, out->add_workers());
  to_wire(status.jobs, out->mutable_jobs());
  out->set_sessions(status.sessions);
  out->mutable_tensors()->set_tensors(status.resident_tensors);
  out->mutable_tensors()->set_bytes(status.resident_bytes);
  out->mutable_tensors()->set_regions(status.regions);
  out->mutable_tensors()->set_region_bytes(status.region_bytes);
  for (const SessionInfo& session : status.open_sessions)
    to_wire(session, out->add_open_sessions());
  out->mutable_host_copies()->set_copies(status.host_copies);
  out->mutable_host_copies()->set_bytes(status.host_copy_bytes);
  out->mutable_host_copies()->set_hits(status.host_copy_hits);
  out->mutable_host_copies()->set_reads(status.component_reads);
  out->mutable_steps()->set_open_sockets(status.step_sockets);
  out->mutable_steps()->set_evaluations(status.step_evaluations);
  for (const EventInfo& event : status.events) {
    v1::Event* message = out->add_events();
    message->set_time(event.unix_time);
    message->set_text(to_utf8(event.text));  // may quote a file's name
  }
  for (const QueueInfo& queue : status.queues) to_wire(queue, out->add_queues());
  for (const std::string& file : status.pinned_files) out->add_pinned_files(to_utf8(file));
  for (const std::string& name : status.samplers) out->add_samplers(name);
  for (const std::string& name : status.schedulers) out->add_schedulers(name);
}

Result<StatusInfo> from_wire(v1::GetStatusResponse& message, const FieldPath& path) {
  StatusInfo status;
  status.version = std::move(*message.mutable_version());
  status.uptime_seconds = message.uptime_seconds();
  status.draining = message.draining();
  for (int i = 0; i < message.workflows_size(); ++i) {
    const FieldPath workflow_path = path.item("workflows", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(status.workflows.emplace_back(),
                          from_wire(*message.mutable_workflows(i), workflow_path));
  }
  for (int i = 0; i < message.pools_size(); ++i) {
    const FieldPath pool_path = path.item("pools", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(status.pools.emplace_back(),
                          pool_from_wire(*message.mutable_pools(i), pool_path));
  }
  for (int i = 0; i < message.workers_size(); ++i) {
    const FieldPath worker_path = path.item("workers", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(status.workers.emplace_back(),
                          from_wire(*message.mutable_workers(i), worker_path));
  }
  status.jobs = totals_from_wire(message.jobs());
  status.sessions = message.sessions();
  status.resident_tensors = message.tensors().tensors();
  status.resident_bytes = message.tensors().bytes();
  status.regions = message.tensors().regions();
  status.region_bytes = message.tensors().region_bytes();
  for (v1::SessionStatus& session : *message.mutable_open_sessions())
    status.open_sessions.push_back(session_from_wire(session));
  status.host_copies = message.host_copies().copies();
  status.host_copy_bytes = message.host_copies().bytes();
  status.host_copy_hits = message.host_copies().hits();
  status.component_reads = message.host_copies().reads();
  status.step_sockets = message.steps().open_sockets();
  status.step_evaluations = message.steps().evaluations();
  for (v1::Event& event : *message.mutable_events()) {
    status.events.push_back({event.time(), std::move(*event.mutable_text())});
  }
  for (int i = 0; i < message.queues_size(); ++i) {
    const FieldPath queue_path = path.item("queues", static_cast<std::size_t>(i));
    LUNA_ASSIGN_OR_RETURN(status.queues.emplace_back(),
                          queue_from_wire(*message.mutable_queues(i), queue_path));
  }
  status.pinned_files.assign(message.pinned_files().begin(), message.pinned_files().end());
  status.samplers.assign(message.samplers().begin(), message.samplers().end());
  status.schedulers.assign(message.schedulers().begin(), message.schedulers().end());
  return status;
}

}  // namespace luna::wire
