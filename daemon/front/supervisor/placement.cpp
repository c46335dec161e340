#include "daemon/front/supervisor/placement.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <sched.h>

#include "daemon/front/core/worker_port.h"

namespace luna::front {
namespace {

/// Room in a worker's queue beyond what the core gives it: cancelled jobs that it has not let go of
/// yet.
constexpr std::uint32_t kSpareJobs = 64;

int visible_gpus(int present) {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (!visible) return present;
  const std::string list = visible;
  if (list.empty() || list.front() == '-') return 0;
  return std::min(present, 1 + static_cast<int>(std::ranges::count(list, ',')));
}

}  // namespace

Machine Machine::look(const std::string& worker_program) {
  namespace fs = std::filesystem;
  Machine machine;
  std::error_code absent;
  if (fs::exists(fs::path(worker_program).parent_path() / "libluna_cuda.so", absent)) {
    int present = 0;
    fs::directory_iterator gpus("/proc/driver/nvidia/gpus", absent);
    for (; !absent && gpus != fs::directory_iterator(); gpus.increment(absent)) ++present;
    machine.gpus = visible_gpus(present);
  }
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) == 0) machine.cores = CPU_COUNT(&cores);
  machine.cores = std::max(machine.cores, 1);
  return machine;
}

std::vector<Placement> place_workers(const Config& config, const Machine& machine,
                                     const WorkerSettings& common) {
  std::vector<Placement> placements;
  for (const Config::Pool& pool : config.pools) {
    std::vector<std::string> devices;
    for (const std::string& device : pool.devices) {
      if (device != "auto") {
        devices.push_back(device);
      } else if (machine.gpus == 0) {
        devices.emplace_back("cpu");
      }
      for (int gpu = 0; device == "auto" && gpu < machine.gpus; ++gpu) {
        devices.push_back(fmt::format("cuda:{}", gpu));
      }
    }
    for (const std::string& device : devices) {
      Placement placement{pool.name, common};
      placement.settings.device = device;
      placement.settings.threads = static_cast<int>(pool.threads);
      placement.settings.max_rows_per_forward = static_cast<int>(pool.max_rows_per_forward);
      placement.settings.heartbeat_ms = config.supervision.heartbeat_ms;
      placement.settings.max_queued_jobs = kJobsPerWorker + kSpareJobs;
      placement.settings.memory_budget_bytes = pool.memory_budget_mib << 20;
      placement.settings.cuda_outbox_bytes = pool.cuda_outbox_mib << 20;
      placement.settings.cuda_imports = pool.cuda_imports;
      placements.insert(placements.end(), pool.most_workers(), placement);
    }
  }
  const auto on_cpu = [](const Placement& p) { return p.settings.device == "cpu"; };
  const auto cpu_workers = static_cast<int>(std::ranges::count_if(placements, on_cpu));
  const auto gpu_workers = static_cast<int>(placements.size()) - cpu_workers;
  for (Placement& placement : placements) {
    if (placement.settings.threads > 0) continue;
    const int sharers = on_cpu(placement) ? cpu_workers : gpu_workers;
    placement.settings.threads = std::max(1, machine.cores / std::max(sharers, 1));
  }
  return placements;
}

}  // namespace luna::front
