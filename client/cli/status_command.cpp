#include <ctime>

#include "client/cli/command.h"
#include "client/cli/info_json.h"
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

/// "1:4 2:60 8:3": rows of a forward, and how often.
std::string histogram(const ForwardCounters& counters) {
  std::string text;
  for (const auto& [rows, times] : counters.batch_sizes) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", rows, times);
  }
  return text;
}

void print_workers(std::ostream& out, const StatusInfo& status) {
  Table workers(
      {"WORKER", "STATE", "DEVICE", "PID", "RUNNING", "QUEUED", "DONE", "RESTARTS", "MEMORY"});
  Table models({"WORKER", "SLOT", "FAMILY", "PRECISION", "SIZE", "USES", "FILE"});
  Table forwards(
      {"WORKER", "FORWARD", "FORWARDS", "ROWS", "ROWS EACH", "SECONDS", "BATCHES (ROWS:TIMES)"});
  for (const WorkerInfo& worker : status.workers) {
    const WorkerReport& report = worker.report;
    const std::string id = std::to_string(worker.id.value);
    workers.add({id, worker.state, worker.device, std::to_string(worker.pid),
                 std::to_string(report.jobs_running), std::to_string(report.jobs_queued),
                 std::to_string(report.jobs_done), std::to_string(worker.restarts),
                 human_bytes(report.resident_bytes)});
    for (const LoadedModel& model : report.models) {
      models.add({id, std::string(slot_name(model.info.slot)), model.info.family,
                  std::string(precision_name(model.precision)), human_bytes(model.resident_bytes),
                  std::to_string(model.uses), model.paths.empty() ? "" : model.paths.front()});
    }
    for (const auto& [kind, counters] : report.forwards) {
      const double each = counters.forwards ? static_cast<double>(counters.rows) /
                                                  static_cast<double>(counters.forwards)
                                            : 0.0;
      forwards.add({id, kind, std::to_string(counters.forwards), std::to_string(counters.rows),
                    fmt::format("{:.2f}", each), fmt::format("{:.1f}", counters.seconds_on_device),
                    histogram(counters)});
    }
  }
  for (const Table* table : {&workers, &models, &forwards}) {
    if (table->empty()) continue;
    out << '\n';
    table->print(out);
  }
}

void print_status(std::ostream& out, const StatusInfo& status, const std::string& address) {
  out << fmt::format("lunad {} at {}, up {}{}\n", status.version, address,
                     human_seconds(status.uptime_seconds), status.draining ? ", stopping" : "");
  const JobTotals& jobs = status.jobs;
  out << fmt::format(
      "jobs: {} running, {} queued, {} done, {} failed, {} cancelled, {} refused, {} run again\n",
      jobs.running, jobs.queued, jobs.done, jobs.failed, jobs.cancelled, jobs.refused, jobs.rerun);
  out << fmt::format("{} sessions, {} workflows, {} tensors kept ({})\n", status.sessions,
                     status.workflows.size(), status.resident_tensors,
                     human_bytes(status.resident_bytes));
  print_workers(out, status);
  if (status.events.empty()) return;
  out << "\nlately:\n";
  const std::size_t skipped =
      status.events.size() > kEventsShown ? status.events.size() - kEventsShown : 0;
  for (std::size_t i = skipped; i < status.events.size(); ++i) {
    out << "  " << clock_time(status.events[i].unix_time) << "  " << status.events[i].text << '\n';
  }
}

}  // namespace

void add_status_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command =
      app->add_subcommand("status", "Workers, loaded models, batches, jobs and events");
  const auto flags = std::make_shared<CommonFlags>();
  add_common_flags(command, flags.get());
  command->footer("Starts no daemon.\nExamples:\n  luna status\n  luna status --json | jq .jobs");
  command->callback([flags, &console, action] {
    *action = [flags, &console] {
      return with_client(console, *flags, false, [&](Client& client) -> Status {
        LUNA_ASSIGN_OR_RETURN(const StatusInfo status, client.admin().status());
        if (flags->json) {
          nlohmann::json object = to_json(status);
          object["address"] = client.connection().address;
          print_json(console, object);
        } else {
          print_status(*console.out, status, client.connection().address);
        }
        return {};
      });
    };
  });
}

}  // namespace luna::client
