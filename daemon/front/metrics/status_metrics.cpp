#include "daemon/front/metrics/status_metrics.h"

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "daemon/front/metrics/metric_page.h"

namespace luna::front {
namespace {

using Labels = MetricPage::Labels;

constexpr std::array<std::string_view, 5> kWorkerStates = {"starting", "ready", "restarting",
                                                           "failed", "stopping"};

double number(std::uint64_t value) { return static_cast<double>(value); }

void add_daemon(const StatusInfo& status, MetricPage& page) {
  page.gauge("luna_build_info", "Always 1; the label tells lunad's version.");
  page.sample({{"version", status.version}}, 1);
  page.gauge("luna_uptime_seconds", "Since lunad started.");
  page.sample(status.uptime_seconds);
  page.gauge("luna_draining", "1 while lunad is being stopped and takes no new calls.");
  page.sample(status.draining ? 1 : 0);
  page.gauge("luna_sessions", "Open sessions (clients).");
  page.sample(status.sessions);
  page.gauge("luna_workflows", "Registered workflows.");
  page.sample(number(status.workflows.size()));
  page.gauge("luna_step_sockets", "Open sockets from clients straight to workers.");
  page.sample(status.step_sockets);
  page.counter("luna_step_evaluations_total", "Evaluations answered over them.");
  page.sample(number(status.step_evaluations));
  page.gauge("luna_resident_tensors", "Tensors that sessions keep on the server.");
  page.sample(number(status.resident_tensors));
  page.gauge("luna_resident_tensor_bytes", "Their bytes.");
  page.sample(number(status.resident_bytes));
  page.gauge("luna_regions",
             "Pieces of shared memory of local clients, results not yet taken too.");
  page.sample(number(status.regions));
  page.gauge("luna_region_bytes", "Their bytes.");
  page.sample(number(status.region_bytes));
  page.gauge("luna_host_copies", "Components whose weights lie in memory that workers share.");
  page.sample(number(status.host_copies));
  page.gauge("luna_host_copy_bytes", "Their bytes.");
  page.sample(number(status.host_copy_bytes));
  page.counter("luna_host_copy_hits_total",
               "Components that a worker took from there instead of reading their file.");
  page.sample(number(status.host_copy_hits));
  page.counter("luna_component_reads_total", "Components that a worker read from a file.");
  page.sample(number(status.component_reads));
}

void add_jobs(const JobTotals& jobs, MetricPage& page) {
  page.gauge("luna_jobs", "Unfinished jobs.");
  page.sample({{"state", "running"}}, number(jobs.running));
  page.sample({{"state", "queued"}}, number(jobs.queued));
  page.counter("luna_jobs_accepted_total", "Jobs that were admitted.");
  page.sample(number(jobs.accepted));
  page.counter("luna_jobs_ended_total", "Admitted jobs that have ended.");
  page.sample({{"outcome", "done"}}, number(jobs.done));
  page.sample({{"outcome", "failed"}}, number(jobs.failed));
  page.sample({{"outcome", "cancelled"}}, number(jobs.cancelled));
  page.counter("luna_jobs_refused_total", "Calls that were not admitted.");
  page.sample(number(jobs.refused));
  page.counter("luna_jobs_rerun_total", "Jobs that were run again because their worker died.");
  page.sample(number(jobs.rerun));
}

void add_pools(const std::vector<PoolInfo>& pools, MetricPage& page) {
  const auto each = [&](auto&& value) {
    for (const PoolInfo& pool : pools) page.sample({{"pool", pool.name}}, value(pool));
  };
  page.gauge("luna_pool_workers", "Workers of the pool: ready, starting or restarting.");
  each([](const PoolInfo& pool) { return pool.workers; });
  page.gauge("luna_pool_max_workers", "Workers that the pool may have.");
  each([](const PoolInfo& pool) { return pool.max_workers; });
  page.gauge("luna_pool_jobs", "Unfinished jobs on the pool's workers.");
  each([](const PoolInfo& pool) { return number(pool.jobs); });
}

void add_queues(const std::vector<QueueInfo>& queues, MetricPage& page) {
  const auto labels = [](const QueueInfo& queue) {
    return Labels{{"workflow", queue.workflow},
                  {"priority", std::string(priority_name(queue.priority))}};
  };
  page.gauge("luna_queue_jobs", "Jobs that wait for a worker; empty queues are left out.");
  for (const QueueInfo& queue : queues) page.sample(labels(queue), number(queue.jobs));
  page.gauge("luna_queue_oldest_wait_seconds", "Since the oldest job of the queue came.");
  for (const QueueInfo& queue : queues) page.sample(labels(queue), queue.oldest_wait_seconds);
}

/// One gauge or counter by workflow, begun before.
template <class Value>
void by_workflow(const StatusInfo& status, MetricPage& page, Value&& value) {
  for (const WorkflowInfo& workflow : status.workflows) {
    page.sample({{"workflow", workflow.id}}, value(workflow));
  }
}

void add_workflows(const StatusInfo& status, MetricPage& page) {
  using W = const WorkflowInfo&;
  page.gauge("luna_workflow_lease_seconds", "Until the registration ends without further use.");
  by_workflow(status, page, [](W w) { return w.seconds_left; });
  page.counter("luna_workflow_calls_total", "Calls since the workflow was registered.");
  by_workflow(status, page, [](W w) { return number(w.calls); });
  page.gauge("luna_workflow_calls_running", "Calls under way, those that wait included.");
  by_workflow(status, page, [](W w) { return w.calls_running; });
  page.gauge("luna_workflow_model_bytes",
             "Of its models' copies on all workers; a shared one counts for each workflow.");
  by_workflow(status, page, [](W w) { return number(w.model_bytes); });
  page.gauge("luna_workflow_tensor_bytes", "Of tensors that its calls keep on the server.");
  by_workflow(status, page, [](W w) { return number(w.tensor_bytes); });
}

std::string id_of(const WorkerInfo& worker) { return std::to_string(worker.id.value); }

/// One gauge or counter by worker, begun before.
template <class Value>
void by_worker(const StatusInfo& status, MetricPage& page, Value&& value) {
  for (const WorkerInfo& worker : status.workers) {
    page.sample({{"worker", id_of(worker)}}, value(worker));
  }
}

void add_workers(const StatusInfo& status, MetricPage& page) {
  using W = const WorkerInfo&;
  page.gauge("luna_worker_info", "Always 1; the labels tell pool and device.");
  for (W w : status.workers) {
    page.sample({{"worker", id_of(w)}, {"pool", w.pool}, {"device", w.device}}, 1);
  }
  page.gauge("luna_worker_state", "1 for the state that the worker is in, 0 for the others.");
  for (W w : status.workers) {
    for (const std::string_view state : kWorkerStates) {
      page.sample({{"worker", id_of(w)}, {"state", std::string(state)}}, w.state == state ? 1 : 0);
    }
  }
  page.counter("luna_worker_restarts_total", "How often the worker was started again.");
  by_worker(status, page, [](W w) { return w.restarts; });
  page.gauge("luna_worker_heartbeat_age_seconds", "Since the worker was last heard.");
  by_worker(status, page, [](W w) { return w.seconds_since_heartbeat; });
  page.gauge("luna_worker_step_seconds", "Age of the forward that runs now; 0 between forwards.");
  by_worker(status, page, [](W w) { return number(w.report.step_in_progress_ms) / 1000; });
}

void add_worker_jobs(const StatusInfo& status, MetricPage& page) {
  using W = const WorkerInfo&;
  page.gauge("luna_worker_jobs", "Unfinished jobs at the worker.");
  for (W w : status.workers) {
    page.sample({{"worker", id_of(w)}, {"state", "running"}}, number(w.report.jobs_running));
    page.sample({{"worker", id_of(w)}, {"state", "queued"}}, number(w.report.jobs_queued));
  }
  page.counter("luna_worker_jobs_ended_total", "Jobs that have ended at the worker.");
  for (W w : status.workers) {
    page.sample({{"worker", id_of(w)}, {"outcome", "done"}}, number(w.report.jobs_done));
    page.sample({{"worker", id_of(w)}, {"outcome", "failed"}}, number(w.report.jobs_failed));
    page.sample({{"worker", id_of(w)}, {"outcome", "cancelled"}}, number(w.report.jobs_cancelled));
  }
  page.counter("luna_worker_queue_seconds_total", "Waiting time at the worker, of all its jobs.");
  by_worker(status, page, [](W w) { return w.report.seconds_in_queue; });
}

void add_memory(const StatusInfo& status, MetricPage& page) {
  using W = const WorkerInfo&;
  page.gauge("luna_worker_resident_bytes", "Of the process on a CPU, of the device on a GPU.");
  by_worker(status, page, [](W w) { return number(w.report.resident_bytes); });
  page.gauge("luna_worker_peak_resident_bytes", "The largest value since the worker started.");
  by_worker(status, page, [](W w) { return number(w.report.peak_resident_bytes); });
  page.gauge("luna_worker_memory_bytes", "Of it, what is counted by kind.");
  for (W w : status.workers) {
    for (const auto& [kind, bytes] : w.report.memory) {
      page.sample({{"worker", id_of(w)}, {"kind", kind}}, number(bytes));
    }
  }
  page.counter("luna_worker_files_read_total",
               "Components and adapters that came from files rather than from memory.");
  for (W w : status.workers) {
    for (const auto& [kind, files] : w.report.files_read) {
      page.sample({{"worker", id_of(w)}, {"kind", kind}}, number(files));
    }
  }
  page.counter("luna_worker_overlays_total",
               "That adapters were merged into, by the memory that they were written to.");
  for (W w : status.workers) {
    for (const auto& [where, overlays] : w.report.overlays)
      page.sample({{"worker", id_of(w)}, {"where", where}}, number(overlays));
  }
}

void add_forwards(const StatusInfo& status, MetricPage& page) {
  const auto each = [&](auto&& use) {
    for (const WorkerInfo& worker : status.workers) {
      for (const auto& [kind, counters] : worker.report.forwards) {
        use(Labels{{"worker", id_of(worker)}, {"kind", kind}}, counters);
      }
    }
  };
  page.counter("luna_device_seconds_total", "Time that forwards took on the device.");
  each([&](Labels labels, const ForwardCounters& counters) {
    page.sample(std::move(labels), counters.seconds_on_device);
  });
  page.histogram("luna_forward_rows",
                 "Rows of a forward; its count is the forwards, its sum the rows.");
  each([&](Labels labels, const ForwardCounters& counters) {
    page.buckets(std::move(labels), counters.batch_sizes, counters.rows);
  });
}

/// Models of one worker that differ only by their file are one series.
void add_models(const StatusInfo& status, MetricPage& page) {
  struct Sum {
    std::uint64_t bytes = 0, models = 0;
  };
  std::map<std::tuple<std::string, std::string, std::string, std::string>, Sum> sums;
  for (const WorkerInfo& worker : status.workers) {
    for (const LoadedModel& model : worker.report.models) {
      Sum& sum = sums[{id_of(worker), std::string(slot_name(model.info.slot)), model.info.family,
                       std::string(precision_name(model.precision))}];
      sum.bytes += model.resident_bytes;
      ++sum.models;
    }
  }
  const auto each = [&](auto&& use) {
    for (const auto& [key, sum] : sums) {
      const auto& [worker, slot, family, precision] = key;
      use(Labels{{"worker", worker}, {"slot", slot}, {"family", family}, {"precision", precision}},
          sum);
    }
  };
  page.gauge("luna_models", "Components that are loaded.");
  each([&](Labels labels, const Sum& sum) { page.sample(std::move(labels), number(sum.models)); });
  page.gauge("luna_model_bytes", "Their bytes on the worker's device, by kind of memory.");
  each([&](Labels labels, const Sum& sum) {
    labels.push_back({"kind", "weights"});
    page.sample(std::move(labels), number(sum.bytes));
  });
}

}  // namespace

std::vector<prometheus::MetricFamily> metrics_of(const StatusInfo& status) {
  MetricPage page;
  add_daemon(status, page);
  add_jobs(status.jobs, page);
  add_pools(status.pools, page);
  add_queues(status.queues, page);
  add_workflows(status, page);
  add_workers(status, page);
  add_worker_jobs(status, page);
  add_memory(status, page);
  add_forwards(status, page);
  add_models(status, page);
  return page.take();
}

}  // namespace luna::front
