#include "daemon/front/core/worker_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace luna::front {
namespace {

constexpr std::size_t kMaxRememberedFiles = 4096;

}  // namespace

void WorkerTable::starting(WorkerId id, std::string pool, std::int64_t pid, TimePoint now) {
  const bool again = workers_.contains(id);
  Worker& worker = workers_[id];
  if (again) ++worker.info.restarts;
  worker.info.id = id;
  worker.info.pool = std::move(pool);
  worker.info.pid = pid;
  worker.info.state = "starting";
  worker.info.report = {};
  worker.port = nullptr;
  worker.routable = false;
  ++worker.life;
  worker.jobs = 0;
  worker.files.clear();
  worker.heard = now;
}

void WorkerTable::ready(std::shared_ptr<WorkerPort> port, std::string device, TimePoint now) {
  Worker& worker = workers_[port->id()];
  worker.info.id = port->id();
  worker.info.state = "ready";
  worker.info.device = std::move(device);
  worker.port = std::move(port);
  worker.routable = true;
  ++worker.life;
  worker.jobs = 0;
  worker.heard = now;
}

bool WorkerTable::report(WorkerId id, WorkerReport report, TimePoint now) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return false;
  found->second.info.report = std::move(report);
  found->second.heard = now;
  found->second.routable = found->second.port != nullptr;
  return true;
}

void WorkerTable::gone(WorkerId id, const WorkerEnd& end, bool stopping) {
  Worker& worker = workers_[id];
  worker.info.id = id;
  worker.info.state = stopping || end.kind == WorkerEnd::Kind::kAsked ? "stopping" : "restarting";
  worker.info.last_exit = end.in_words();
  worker.info.pid = 0;
  worker.info.report = {};
  worker.port = nullptr;
  worker.routable = false;
  worker.files.clear();
  if (isolated_ == id) isolated_.reset();
  last_exit_ = worker.info.last_exit;
}

void WorkerTable::given_up(WorkerId id, bool stopping) {
  std::string& state = workers_[id].info.state;
  if (state != "stopping") state = stopping ? "stopping" : "failed";
}

bool WorkerTable::orphan(WorkerId id, std::uint64_t life, std::shared_ptr<const Job> job) {
  const auto found = workers_.find(id);
  if (found == workers_.end() || found->second.life != life || !found->second.port) return false;
  found->second.routable = false;
  found->second.orphans.push_back(std::move(job));
  return true;
}

WorkerTable::Jobs WorkerTable::take_orphans(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? Jobs() : std::exchange(found->second.orphans, {});
}

bool WorkerTable::has_all(const Worker& worker, const std::vector<std::string>& files) {
  return std::ranges::all_of(files, [&](const std::string& file) {
    return worker.files.contains(file) ||
           std::ranges::any_of(worker.info.report.models, [&](const LoadedModel& model) {
             return std::ranges::find(model.paths, file) != model.paths.end();
           });
  });
}

std::optional<WorkerId> WorkerTable::choose(const std::vector<std::string>& files) const {
  std::optional<WorkerId> best;
  std::uint32_t best_cost = 0;
  for (const auto& [id, worker] : workers_) {
    if (!worker.routable || worker.jobs >= kJobsPerWorker || isolated_ == id) continue;
    const std::uint32_t cost = worker.jobs + (has_all(worker, files) ? 0 : kPreference + 1);
    if (!best || cost < best_cost) {
      best = id;
      best_cost = cost;
    }
  }
  return best;
}

std::optional<WorkerId> WorkerTable::isolate(const std::vector<std::string>& files) {
  const Worker* best = nullptr;
  const auto cost = [&](const Worker& worker) {
    // Staying with the worker that is being emptied goes before all but one that is empty.
    return std::tuple(worker.jobs > 0 && isolated_ != worker.info.id, worker.jobs,
                      !has_all(worker, files));
  };
  for (const auto& [id, worker] : workers_) {
    if (worker.routable && (!best || cost(worker) < cost(*best))) best = &worker;
  }
  isolated_.reset();
  if (!best) return std::nullopt;
  isolated_ = best->info.id;
  return best->jobs == 0 ? isolated_ : std::nullopt;
}

std::shared_ptr<WorkerPort> WorkerTable::take(WorkerId id, const std::vector<std::string>& files) {
  Worker& worker = workers_.at(id);
  ++worker.jobs;
  if (worker.files.size() + files.size() <= kMaxRememberedFiles) {
    worker.files.insert(files.begin(), files.end());
  }
  return worker.port;
}

void WorkerTable::release(WorkerId id, std::uint64_t life) {
  const auto found = workers_.find(id);
  if (found == workers_.end() || found->second.life != life) return;
  if (found->second.jobs > 0) --found->second.jobs;
}

std::uint64_t WorkerTable::life(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? 0 : found->second.life;
}

bool WorkerTable::hope() const {
  return workers_.empty() || std::ranges::any_of(workers_, [](const auto& entry) {
           const std::string& state = entry.second.info.state;
           return state == "ready" || state == "starting" || state == "restarting";
         });
}

std::vector<WorkerId> WorkerTable::ready_ids() const {
  std::vector<WorkerId> ids;
  for (const auto& [id, worker] : workers_) {
    if (worker.routable) ids.push_back(id);
  }
  return ids;
}

std::shared_ptr<WorkerPort> WorkerTable::port(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : found->second.port;
}

std::vector<WorkerInfo> WorkerTable::list(TimePoint now) const {
  std::vector<WorkerInfo> infos;
  for (const auto& [id, worker] : workers_) {
    WorkerInfo& info = infos.emplace_back(worker.info);
    info.seconds_since_heartbeat = std::chrono::duration<double>(now - worker.heard).count();
  }
  return infos;
}

std::string WorkerTable::content_hash(const std::string& path, Slot slot) const {
  for (const auto& [id, worker] : workers_) {
    for (const LoadedModel& model : worker.info.report.models) {
      if (model.info.slot == slot && std::ranges::find(model.paths, path) != model.paths.end()) {
        return model.info.content_hash;
      }
    }
  }
  return "";
}

std::uint64_t WorkerTable::loaded_bytes(const std::string& path, Slot slot) const {
  std::uint64_t bytes = 0;
  for (const auto& [id, worker] : workers_) {
    for (const LoadedModel& model : worker.info.report.models) {
      if (model.info.slot == slot && std::ranges::find(model.paths, path) != model.paths.end()) {
        bytes += model.resident_bytes;
      }
    }
  }
  return bytes;
}

}  // namespace luna::front
