#include "client/cli/status_view.h"

#include <ctime>

#include <fmt/ranges.h>

#include "client/cli/output.h"
#include "client/cli/table.h"

namespace luna::client {
namespace {

constexpr std::size_t kEventsShown = 10;

std::string clock_time(double unix_time) {
  const auto seconds = static_cast<std::time_t>(unix_time);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%H:%M:%S", &parts);
  return text;
}

std::string percent(double share) { return fmt::format("{:.0f} %", share * 100); }

/// "1:4 2:60 8:3": rows of a forward, and how often.
std::string histogram(const ForwardCounters& counters) {
  std::string text;
  for (const auto& [rows, times] : counters.batch_sizes) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", rows, times);
  }
  return text;
}

/// "activations_estimate 2.0 GiB, results 3.0 MiB, weights 1.5 GiB"
std::string memory_by_kind(const WorkerReport& report) {
  std::string text;
  for (const auto& [kind, bytes] : report.memory) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind, human_bytes(bytes));
  }
  return text;
}

/// "1 of 0..4"
std::string workers_in_words(const PoolInfo& pool) {
  if (pool.min_workers == pool.max_workers) {
    return fmt::format("{} of {}", pool.workers, pool.max_workers);
  }
  return fmt::format("{} of {}..{}", pool.workers, pool.min_workers, pool.max_workers);
}

Table pool_table(const StatusInfo& status) {
  Table table({"POOL", "ROLES", "DEVICES", "WORKERS", "JOBS"});
  for (const PoolInfo& pool : status.pools) {
    std::vector<std::string_view> roles;
    for (const Role role : pool.roles) roles.push_back(role_name(role));
    table.add({pool.name, fmt::format("{}", fmt::join(roles, " ")),
               fmt::format("{}", fmt::join(pool.devices, " ")), workers_in_words(pool),
               std::to_string(pool.jobs)});
  }
  return table;
}

Table worker_table(const StatusInfo& status, const StatusRates* rates) {
  std::vector<std::string> heading = {"WORKER",  "POOL",   "STATE", "DEVICE",  "PID",
                                      "RUNNING", "QUEUED", "DONE",  "RESTARTS"};
  if (rates) heading.insert(heading.end(), {"FORWARDS/S", "ROWS/S", "BUSY"});
  heading.insert(heading.end(), {"MEMORY", "PEAK", "OF IT"});
  Table table(std::move(heading));
  for (const WorkerInfo& worker : status.workers) {
    const WorkerReport& report = worker.report;
    std::vector<std::string> row = {std::to_string(worker.id.value),
                                    worker.pool,
                                    worker.state,
                                    worker.device,
                                    std::to_string(worker.pid),
                                    std::to_string(report.jobs_running),
                                    std::to_string(report.jobs_queued),
                                    std::to_string(report.jobs_done),
                                    std::to_string(worker.restarts)};
    if (rates) {
      const auto found = rates->workers.find(worker.id);
      const WorkerRates own = found == rates->workers.end() ? WorkerRates() : found->second;
      row.insert(row.end(), {fmt::format("{:.1f}", own.forwards_per_second),
                             fmt::format("{:.1f}", own.rows_per_second), percent(own.busy)});
    }
    row.insert(row.end(), {human_bytes(report.resident_bytes),
                           human_bytes(report.peak_resident_bytes), memory_by_kind(report)});
    table.add(std::move(row));
  }
  return table;
}

Table model_table(const StatusInfo& status) {
  Table table({"WORKER", "SLOT", "FAMILY", "PRECISION", "SIZE", "USES", "JOBS", "PIN", "FILE"});
  for (const WorkerInfo& worker : status.workers) {
    for (const LoadedModel& model : worker.report.models) {
      table.add({std::to_string(worker.id.value), std::string(slot_name(model.info.slot)),
                 model.info.family, std::string(precision_name(model.precision)),
                 human_bytes(model.resident_bytes), std::to_string(model.uses),
                 std::to_string(model.jobs), model.pinned ? "pinned" : "",
                 model.paths.empty() ? "" : model.paths.front()});
    }
  }
  return table;
}

Table forward_table(const StatusInfo& status) {
  Table table(
      {"WORKER", "FORWARD", "FORWARDS", "ROWS", "ROWS EACH", "SECONDS", "BATCHES (ROWS:TIMES)"});
  for (const WorkerInfo& worker : status.workers) {
    for (const auto& [kind, counters] : worker.report.forwards) {
      const double each = counters.forwards ? static_cast<double>(counters.rows) /
                                                  static_cast<double>(counters.forwards)
                                            : 0.0;
      table.add({std::to_string(worker.id.value), kind, std::to_string(counters.forwards),
                 std::to_string(counters.rows), fmt::format("{:.2f}", each),
                 fmt::format("{:.1f}", counters.seconds_on_device), histogram(counters)});
    }
  }
  return table;
}

Table queue_table(const StatusInfo& status) {
  Table table({"QUEUE OF", "PRIORITY", "JOBS", "OLDEST WAITS"});
  for (const QueueInfo& queue : status.queues) {
    table.add({queue.workflow.empty() ? "(files)" : queue.workflow,
               std::string(priority_name(queue.priority)), std::to_string(queue.jobs),
               human_seconds(queue.oldest_wait_seconds)});
  }
  return table;
}

Table workflow_table(const StatusInfo& status) {
  Table table({"WORKFLOW", "CALLS", "RUNNING", "ENDS IN", "MODELS", "TENSORS"});
  for (const WorkflowInfo& workflow : status.workflows) {
    table.add({workflow.id, std::to_string(workflow.calls), std::to_string(workflow.calls_running),
               human_seconds(workflow.seconds_left), human_bytes(workflow.model_bytes),
               human_bytes(workflow.tensor_bytes)});
  }
  return table;
}

Table session_table(const StatusInfo& status) {
  Table table({"CLIENT", "OPEN FOR", "PLANES", "TENSORS", "SIZE", "REGIONS", "SIZE",
               "NO BETTER PLANE BECAUSE"});
  for (const SessionInfo& session : status.open_sessions) {
    table.add({session.client_name, human_seconds(session.seconds_open),
               fmt::format("{}", fmt::join(session.planes, ", ")), std::to_string(session.tensors),
               human_bytes(session.tensor_bytes), std::to_string(session.regions),
               human_bytes(session.region_bytes), session.fallback});
  }
  return table;
}

void print_events(std::ostream& out, const std::vector<EventInfo>& events) {
  if (events.empty()) return;
  out << "\nlately:\n";
  const std::size_t skipped = events.size() > kEventsShown ? events.size() - kEventsShown : 0;
  for (std::size_t i = skipped; i < events.size(); ++i) {
    out << "  " << clock_time(events[i].unix_time) << "  " << events[i].text << '\n';
  }
}

}  // namespace

void print_status(std::ostream& out, const StatusInfo& status, const std::string& address,
                  const StatusRates* rates) {
  out << fmt::format("lunad {} at {}, up {}{}\n", status.version, address,
                     human_seconds(status.uptime_seconds), status.draining ? ", stopping" : "");
  const JobTotals& jobs = status.jobs;
  out << fmt::format(
      "jobs: {} running, {} queued, {} done, {} failed, {} cancelled, {} refused, {} run again\n",
      jobs.running, jobs.queued, jobs.done, jobs.failed, jobs.cancelled, jobs.refused, jobs.rerun);
  if (rates) {
    out << fmt::format("now: {:.1f} jobs/s, {:.1f} forwards/s, {:.1f} rows/s, devices {} busy\n",
                       rates->jobs_per_second, rates->forwards_per_second, rates->rows_per_second,
                       percent(rates->busy));
  }
  out << fmt::format(
      "{} sessions, {} workflows, {} tensors kept ({}), {} regions ({})\n"
      "{} host copies ({}), taken {} times; {} components read from files\n",
      status.sessions, status.workflows.size(), status.resident_tensors,
      human_bytes(status.resident_bytes), status.regions, human_bytes(status.region_bytes),
      status.host_copies, human_bytes(status.host_copy_bytes), status.host_copy_hits,
      status.component_reads);
  for (const std::string& file : status.pinned_files) out << "pinned: " << file << '\n';
  for (const Table& table :
       {pool_table(status), worker_table(status, rates), queue_table(status), session_table(status),
        workflow_table(status), model_table(status), forward_table(status)}) {
    if (table.empty()) continue;
    out << '\n';
    table.print(out);
  }
  print_events(out, status.events);
}

std::string status_line(const StatusInfo& status, const StatusRates& rates, double unix_time) {
  std::uint64_t memory = 0;
  std::size_t ready = 0;
  for (const WorkerInfo& worker : status.workers) {
    memory += worker.report.resident_bytes;
    ready += worker.state == "ready";
  }
  return fmt::format(
      "{} {} running, {} queued, {:.1f} jobs/s, {:.1f} forwards/s, {:.1f} rows/s, {} busy, "
      "{} of {} workers ready, {}",
      clock_time(unix_time), status.jobs.running, status.jobs.queued, rates.jobs_per_second,
      rates.forwards_per_second, rates.rows_per_second, percent(rates.busy), ready,
      status.workers.size(), human_bytes(memory));
}

}  // namespace luna::client
