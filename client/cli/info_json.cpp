#include "client/cli/info_json.h"

namespace luna::client {

using nlohmann::json;

json to_json(const ComponentInfo& component) {
  return {{"slot", slot_name(component.slot)},      {"family", component.family},
          {"description", component.description},   {"parameters", component.parameters},
          {"file_bytes", component.file_bytes},     {"content_hash", component.content_hash},
          {"native_width", component.native_width}, {"native_height", component.native_height},
          {"prediction", component.prediction},     {"inpaint", component.inpaint}};
}

json to_json(const LoadedModel& model) {
  json object = to_json(model.info);
  object["paths"] = model.paths;
  object["precision"] = precision_name(model.precision);
  object["device"] = model.device;
  object["resident_bytes"] = model.resident_bytes;
  object["uses"] = model.uses;
  object["tier"] = tier_name(model.tier);
  object["jobs"] = model.jobs;
  object["pinned"] = model.pinned;
  return object;
}

json to_json(const ModelFileInfo& file) {
  return {{"folder", file.folder}, {"file", file.file}, {"bytes", file.bytes}};
}

json to_json(const WorkflowInfo& workflow) {
  json models = json::object();
  for (const auto& [slot, model] : workflow.models.slots) {
    models[std::string(slot_name(slot))] = {{"path", model.path},
                                            {"precision", precision_name(model.precision)}};
  }
  return {{"id", workflow.id},
          {"models", models},
          {"components", to_json_list(workflow.components)},
          {"ttl_seconds", workflow.ttl_seconds},
          {"seconds_left", workflow.seconds_left},
          {"calls", workflow.calls},
          {"calls_running", workflow.calls_running},
          {"model_bytes", workflow.model_bytes},
          {"tensor_bytes", workflow.tensor_bytes}};
}

json to_json(const WorkerInfo& worker) {
  const WorkerReport& report = worker.report;
  json forwards = json::object();
  for (const auto& [kind, counters] : report.forwards) {
    json sizes = json::object();
    for (const auto& [rows, times] : counters.batch_sizes) sizes[std::to_string(rows)] = times;
    forwards[kind] = {{"forwards", counters.forwards},
                      {"rows", counters.rows},
                      {"batch_sizes", sizes},
                      {"seconds_on_device", counters.seconds_on_device}};
  }
  return {{"id", worker.id.value},
          {"pool", worker.pool},
          {"pid", worker.pid},
          {"state", worker.state},
          {"device", worker.device},
          {"restarts", worker.restarts},
          {"last_exit", worker.last_exit},
          {"seconds_since_heartbeat", worker.seconds_since_heartbeat},
          {"jobs_running", report.jobs_running},
          {"jobs_queued", report.jobs_queued},
          {"jobs_done", report.jobs_done},
          {"jobs_failed", report.jobs_failed},
          {"jobs_cancelled", report.jobs_cancelled},
          {"seconds_in_queue", report.seconds_in_queue},
          {"step_in_progress_ms", report.step_in_progress_ms},
          {"device_name", report.device},
          {"resident_bytes", report.resident_bytes},
          {"peak_resident_bytes", report.peak_resident_bytes},
          {"memory", report.memory},
          {"files_read", report.files_read},
          {"overlays", report.overlays},
          {"forwards", forwards},
          {"models", to_json_list(report.models)}};
}

json to_json(const PoolInfo& pool) {
  json roles = json::array();
  for (const Role role : pool.roles) roles.push_back(role_name(role));
  return {{"name", pool.name},
          {"roles", roles},
          {"devices", pool.devices},
          {"min_workers", pool.min_workers},
          {"max_workers", pool.max_workers},
          {"workers", pool.workers},
          {"jobs", pool.jobs}};
}

json to_json(const QueueInfo& queue) {
  return {{"workflow", queue.workflow},
          {"priority", priority_name(queue.priority)},
          {"jobs", queue.jobs},
          {"oldest_wait_seconds", queue.oldest_wait_seconds}};
}

json to_json(const SessionInfo& session) {
  return {{"client", session.client_name},
          {"seconds_open", session.seconds_open},
          {"planes", session.planes},
          {"tensors", session.tensors},
          {"tensor_bytes", session.tensor_bytes},
          {"regions", session.regions},
          {"region_bytes", session.region_bytes},
          {"fallback", session.fallback}};
}

json to_json(const StatusRates& rates) {
  json workers = json::array();
  for (const auto& [id, own] : rates.workers) {
    workers.push_back({{"id", id.value},
                       {"forwards_per_second", own.forwards_per_second},
                       {"rows_per_second", own.rows_per_second},
                       {"busy", own.busy}});
  }
  return {{"seconds", rates.seconds},
          {"jobs_per_second", rates.jobs_per_second},
          {"forwards_per_second", rates.forwards_per_second},
          {"rows_per_second", rates.rows_per_second},
          {"busy", rates.busy},
          {"workers", workers}};
}

json to_json(const StatusInfo& status) {
  const JobTotals& jobs = status.jobs;
  json events = json::array();
  for (const EventInfo& event : status.events) {
    events.push_back({{"unix_time", event.unix_time}, {"text", event.text}});
  }
  return {{"version", status.version},
          {"uptime_seconds", status.uptime_seconds},
          {"draining", status.draining},
          {"sessions", status.sessions},
          {"resident_tensors", status.resident_tensors},
          {"resident_bytes", status.resident_bytes},
          {"regions", status.regions},
          {"region_bytes", status.region_bytes},
          {"open_sessions", to_json_list(status.open_sessions)},
          {"step_sockets", status.step_sockets},
          {"step_evaluations", status.step_evaluations},
          {"host_copies", status.host_copies},
          {"host_copy_bytes", status.host_copy_bytes},
          {"host_copy_hits", status.host_copy_hits},
          {"component_reads", status.component_reads},
          {"pinned_files", status.pinned_files},
          {"samplers", status.samplers},
          {"schedulers", status.schedulers},
          {"queues", to_json_list(status.queues)},
          {"jobs",
           {{"accepted", jobs.accepted},
            {"done", jobs.done},
            {"failed", jobs.failed},
            {"cancelled", jobs.cancelled},
            {"refused", jobs.refused},
            {"rerun", jobs.rerun},
            {"running", jobs.running},
            {"queued", jobs.queued}}},
          {"pools", to_json_list(status.pools)},
          {"workers", to_json_list(status.workers)},
          {"workflows", to_json_list(status.workflows)},
          {"events", events}};
}

}  // namespace luna::client
