#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/local/host_id.h"
#include "daemon/front/core/clock.h"
#include "daemon/front/core/cuda_table.h"
#include "daemon/front/core/event_log.h"
#include "daemon/front/core/fingerprint.h"
#include "daemon/front/core/host_shelf.h"
#include "daemon/front/core/inspection_cache.h"
#include "daemon/front/core/job_table.h"
#include "daemon/front/core/model_roots.h"
#include "daemon/front/core/pin_table.h"
#include "daemon/front/core/poison_table.h"
#include "daemon/front/core/region_table.h"
#include "daemon/front/core/session_planes.h"
#include "daemon/front/core/session_table.h"
#include "daemon/front/core/step_table.h"
#include "daemon/front/core/upload_store.h"
#include "daemon/front/core/weight_seekers.h"
#include "daemon/front/core/worker_table.h"
#include "daemon/front/core/workflow_registry.h"

namespace luna::front {

/// Everything that the front knows. `config`, `roots`, `clock` and `fingerprint` never change; the
/// rest is read and written under `mutex`, and no callback or port is called while it is held (see
/// Deferred).
struct FrontState {
  FrontState(std::shared_ptr<const Config> config_in, ModelRoots roots_in, Clock clock_in,
             Fingerprinter fingerprint_in)
      : config(std::move(config_in)),
        roots(std::move(roots_in)),
        clock(std::move(clock_in)),
        fingerprint(std::move(fingerprint_in)),
        workflows(config->limits.workflows, config->limits.default_ttl_seconds),
        sessions({config->limits.sessions, config->limits.resident_bytes_per_session,
                  config->limits.resident_bytes_per_workflow}),
        regions(config->limits.regions_per_session, config->limits.region_bytes_per_session),
        planes(host_id()),
        steps(config->limits.step_sockets_per_session),
        jobs(config->limits),
        poison(std::chrono::minutes(config->supervision.poison_minutes)),
        host_shelf(host_shelf_budget(config->memory)),
        pins(config->limits.pinned_files),
        uploads(config->models.uploads,
                {config->limits.adapter_bytes, config->limits.uploads_bytes}),
        seekers(std::chrono::milliseconds(config->memory.shared_read_wait_ms)),
        started(clock()),
        last_activity(started) {}

  const std::shared_ptr<const Config> config;
  const ModelRoots roots;
  const Clock clock;
  const Fingerprinter fingerprint;

  mutable std::mutex mutex;
  WorkflowRegistry workflows;
  SessionTable sessions;
  RegionTable regions;
  SessionPlanes planes;
  StepTable steps;
  CudaTable cuda;
  WorkerTable workers;
  JobTable jobs;
  PoisonTable poison;
  HostShelf host_shelf;
  PinTable pins;
  UploadStore uploads;  ///< has a lock of its own
  WeightSeekers seekers;
  std::uint64_t component_reads = 0;  ///< from files, by all workers
  InspectionCache inspections;
  EventLog events;
  bool draining = false;
  std::uint32_t registrations = 0;  ///< under way
  std::vector<std::function<void()>> when_idle;
  const TimePoint started;
  TimePoint last_activity;

  void touch() { last_activity = clock(); }
  bool busy() const { return !jobs.empty() || registrations > 0; }
};

}  // namespace luna::front
