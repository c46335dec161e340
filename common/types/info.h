#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/strong_id.h"
#include "common/types/job.h"
#include "common/types/model.h"
#include "common/types/report.h"
#include "common/types/role.h"

namespace luna {

/// A model set as a client writes it, before files are looked up.
struct RequestedModels {
  std::optional<ModelRef> checkpoint;
  std::map<Slot, ModelRef> slots;
  std::map<Slot, Precision> slot_precision;
};
struct WorkflowInfo {
  std::string id;
  RequestedModels requested;
  ModelSet models;  ///< absolute paths
  std::vector<ComponentInfo> components;
  std::uint32_t ttl_seconds = 0;
  std::uint32_t seconds_left = 0;
  std::uint64_t calls = 0;
  std::uint32_t calls_running = 0;
  std::uint64_t model_bytes = 0;  ///< of its models' copies on all workers; a shared one counts for
                                  ///< every workflow that uses it
  std::uint64_t tensor_bytes = 0;  ///< of tensors that its calls keep on the server
};
struct ModelFileInfo {
  std::string folder, file;
  std::uint64_t bytes = 0;
};
struct PoolInfo {
  std::string name;
  std::vector<Role> roles;
  std::vector<std::string> devices;                ///< as they were found: "cuda:0", "cpu"
  std::uint32_t min_workers = 1, max_workers = 1;  ///< over all devices
  std::uint32_t workers = 0;                       ///< ready, starting or restarting
  std::uint64_t jobs = 0;                          ///< unfinished ones on its workers
};
struct WorkerInfo {
  WorkerId id;
  std::string pool;
  std::int64_t pid = 0;
  std::string state;  ///< "starting", "ready", "restarting", "failed", "stopping"
  std::string device;
  std::uint32_t restarts = 0;
  std::string last_exit;
  double seconds_since_heartbeat = 0;
  WorkerReport report;
};
struct EventInfo {
  double unix_time = 0;
  std::string text;
};
struct JobTotals {
  std::uint64_t accepted = 0, done = 0, failed = 0, cancelled = 0, refused = 0, rerun = 0,
                running = 0, queued = 0;
};
/// Clients' jobs of one workflow and priority that wait for a worker.
struct QueueInfo {
  std::string workflow;  ///< "" for calls about files, which need none
  Priority priority = Priority::kNormal;
  std::uint64_t jobs = 0;
  double oldest_wait_seconds = 0;  ///< since the oldest was admitted, runs on dead workers included
};
struct SessionInfo {
  std::string client_name;
  double seconds_open = 0;
  std::vector<std::string> planes;  ///< that it uses, the best first: "shm", "inline"
  std::uint64_t tensors = 0, tensor_bytes = 0;
  std::uint64_t regions = 0, region_bytes = 0;  ///< results that it has not taken yet among them
  std::string fallback;  ///< why it has no better plane; "" while it has the best one
};
struct StatusInfo {
  std::string version;
  double uptime_seconds = 0;
  bool draining = false;
  std::vector<WorkflowInfo> workflows;
  std::vector<PoolInfo> pools;
  std::vector<WorkerInfo> workers;
  JobTotals jobs;
  std::vector<QueueInfo> queues;  ///< by priority, then workflow; none is empty
  std::uint32_t sessions = 0;
  std::vector<SessionInfo> open_sessions;  ///< the oldest first
  std::uint64_t resident_tensors = 0, resident_bytes = 0;
  std::uint64_t regions = 0, region_bytes = 0;         ///< shared memory of all sessions
  std::uint64_t host_copies = 0, host_copy_bytes = 0;  ///< of weights, shared by all workers
  std::uint64_t host_copy_hits = 0;    ///< components that a worker took from there, no file read
  std::uint64_t component_reads = 0;   ///< components that a worker read from a file
  std::uint32_t step_sockets = 0;      ///< open ones
  std::uint64_t step_evaluations = 0;  ///< answered over step sockets, open or not
  std::vector<std::string> pinned_files;  ///< their components are never evicted, wherever loaded
  std::vector<EventInfo> events;
  std::vector<std::string> samplers, schedulers;  ///< what SamplerRun takes
};

}  // namespace luna
