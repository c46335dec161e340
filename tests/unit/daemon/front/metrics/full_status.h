#pragma once

#include "common/types/info.h"

namespace luna::front {

/// A status in which every number is another one.
inline StatusInfo full_status() {
  StatusInfo status;
  status.version = "0.1.0";
  status.uptime_seconds = 65.5;
  status.jobs = {.accepted = 20,
                 .done = 12,
                 .failed = 3,
                 .cancelled = 2,
                 .refused = 4,
                 .rerun = 5,
                 .running = 1,
                 .queued = 6};
  status.sessions = 7;
  status.resident_tensors = 8;
  status.resident_bytes = 4096;
  status.regions = 13;
  status.step_sockets = 14;
  status.step_evaluations = 15;
  status.region_bytes = 65536;
  status.host_copies = 9;
  status.host_copy_bytes = 8192;
  status.host_copy_hits = 11;
  status.component_reads = 12;
  status.queues = {
      {.workflow = "w", .priority = Priority::kBulk, .jobs = 6, .oldest_wait_seconds = 1.5}};
  status.pools = {{.name = "default",
                   .roles = {Role::kUnet},
                   .devices = {"cuda:0"},
                   .min_workers = 1,
                   .max_workers = 4,
                   .workers = 2,
                   .jobs = 19}};
  WorkflowInfo& workflow = status.workflows.emplace_back();
  workflow.id = "w";
  workflow.seconds_left = 300;
  workflow.calls = 30;
  workflow.calls_running = 10;
  workflow.model_bytes = 5000;
  workflow.tensor_bytes = 256;
  WorkerInfo& worker = status.workers.emplace_back();
  worker.id = WorkerId{3};
  worker.pool = "default";
  worker.state = "ready";
  worker.device = "cuda:0 \"H200\"";
  worker.restarts = 11;
  worker.seconds_since_heartbeat = 0.25;
  WorkerReport& report = worker.report;
  report.jobs_running = 1;
  report.jobs_queued = 13;
  report.jobs_done = 14;
  report.jobs_failed = 15;
  report.jobs_cancelled = 16;
  report.seconds_in_queue = 17.5;
  report.step_in_progress_ms = 180;
  report.resident_bytes = 6000;
  report.peak_resident_bytes = 7000;
  report.memory = {{"weights", 5000}};
  report.files_read = {{"adapters", 9}};
  report.forwards["unet"] = {.forwards = 10,
                             .rows = 431,
                             .batch_sizes = {{1, 4}, {3, 5}, {412, 1}},
                             .seconds_on_device = 12.5};
  for (const std::uint64_t bytes : {3000, 2000}) {
    LoadedModel& model = report.models.emplace_back();
    model.info.slot = Slot::kUNet;
    model.info.family = "sd1";
    model.precision = Precision::kBF16;
    model.resident_bytes = bytes;
  }
  return status;
}

}  // namespace luna::front
