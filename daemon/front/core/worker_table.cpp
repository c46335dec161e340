#include "daemon/front/core/worker_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace luna::front {
namespace {

constexpr std::size_t kMaxRememberedFiles = 4096;

}  // namespace

bool WorkerTable::Worker::up() const {
  return !retired &&
         (info.state == "ready" || info.state == "starting" || info.state == "restarting");
}

void WorkerTable::describe_pool(PoolInfo pool) {
  std::string name = pool.name;
  pools_.insert_or_assign(std::move(name), std::move(pool));
}

const PoolInfo* WorkerTable::pool_of(const Worker& worker) const {
  const auto pool = pools_.find(worker.info.pool);
  return pool == pools_.end() ? nullptr : &pool->second;
}

bool WorkerTable::has_role(const Worker& worker, std::optional<Role> role) const {
  const PoolInfo* pool = pool_of(worker);
  return !role || !pool || std::ranges::find(pool->roles, *role) != pool->roles.end();
}

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
  worker.heard = worker.idle_since = now;
}

void WorkerTable::ready(std::shared_ptr<WorkerPort> port, std::string device, TimePoint now) {
  Worker& worker = workers_[port->id()];
  worker.info.id = port->id();
  worker.info.state = "ready";
  worker.info.device = std::move(device);
  worker.port = std::move(port);
  worker.routable = true;
  worker.expected_until = {};
  ++worker.life;
  worker.jobs = 0;
  worker.heard = worker.idle_since = now;
}

bool WorkerTable::report(WorkerId id, WorkerReport report, TimePoint now) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return false;
  if (!report.device_uuid.empty()) found->second.device_uuid = report.device_uuid;
  found->second.info.report = std::move(report);
  found->second.heard = now;
  found->second.routable = found->second.port != nullptr && !found->second.retired;
  return true;
}

void WorkerTable::gone(WorkerId id, const WorkerEnd& end, bool stopping, TimePoint now) {
  Worker& worker = workers_[id];
  worker.info.id = id;
  worker.info.state = stopping || end.kind == WorkerEnd::Kind::kAsked ? "stopping" : "restarting";
  worker.info.last_exit = end.in_words();
  worker.info.pid = 0;
  worker.info.report = {};
  worker.port = nullptr;
  worker.routable = false;
  worker.jobs = 0;
  worker.files.clear();
  worker.expected_until = end.replaced_at_once ? now + kExpected : TimePoint();
  if (isolated_ == id) isolated_.reset();
  last_exit_ = worker.info.last_exit;
}

void WorkerTable::given_up(WorkerId id, bool stopping) {
  Worker& worker = workers_[id];
  if (worker.retired) {
    workers_.erase(id);
    return;
  }
  worker.expected_until = {};
  std::string& state = worker.info.state;
  if (state != "stopping") state = stopping ? "stopping" : "failed";
}

bool WorkerTable::retire(WorkerId id) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return false;
  Worker& worker = found->second;
  if (!worker.routable || worker.jobs > 0 || isolated_ == id) return false;
  worker.retired = true;
  worker.routable = false;
  worker.info.state = "stopping";
  return true;
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

std::optional<WorkerId> WorkerTable::choose(const Wish& wish, TimePoint now) const {
  const Worker* best = nullptr;
  std::tuple<std::uint32_t, bool> best_cost;
  // Half a job decides between a lead that is allowed and the next one.
  const std::uint32_t loading = 2 * (wish.at_hand ? kPreferenceAtHand : kPreference) + 1;
  for (const auto& [id, worker] : workers_) {
    const bool expected = now < worker.expected_until;
    if (!worker.routable && !expected) continue;
    if (worker.jobs >= kJobsPerWorker || isolated_ == id || !has_role(worker, wish.role)) continue;
    if (!is_on(worker, wish.device_uuid)) continue;
    const std::tuple cost(2 * worker.jobs + (has_all(worker, wish.files) ? 0 : loading),
                          !worker.routable);
    if (best && cost >= best_cost) continue;
    best = &worker;
    best_cost = cost;
  }
  if (!best || !best->routable) return std::nullopt;
  return best->info.id;
}

std::optional<WorkerId> WorkerTable::isolate(const std::vector<std::string>& files,
                                             std::optional<Role> role,
                                             const std::string& device_uuid) {
  const Worker* best = nullptr;
  const auto cost = [&](const Worker& worker) {
    // Staying with the worker that is being emptied goes before all but one that is empty.
    return std::tuple(worker.jobs > 0 && isolated_ != worker.info.id, worker.jobs,
                      !has_all(worker, files));
  };
  for (const auto& [id, worker] : workers_) {
    if (!worker.routable || !has_role(worker, role) || !is_on(worker, device_uuid)) continue;
    if (!best || cost(worker) < cost(*best)) best = &worker;
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

void WorkerTable::release(WorkerId id, std::uint64_t life, TimePoint now) {
  const auto found = workers_.find(id);
  if (found == workers_.end() || found->second.life != life) return;
  if (found->second.jobs > 0 && --found->second.jobs == 0) found->second.idle_since = now;
}

void WorkerTable::used(WorkerId id, TimePoint now) {
  if (const auto found = workers_.find(id); found != workers_.end()) found->second.idle_since = now;
}

std::uint64_t WorkerTable::life(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? 0 : found->second.life;
}

bool WorkerTable::serves(std::optional<Role> role) const {
  return !role || pools_.empty() || std::ranges::any_of(pools_, [&](const auto& entry) {
    return std::ranges::find(entry.second.roles, *role) != entry.second.roles.end();
  });
}

bool WorkerTable::hope(std::optional<Role> role) const {
  std::map<std::string, std::uint32_t> seats_taken;
  for (const auto& [id, worker] : workers_) {
    if (worker.up() && has_role(worker, role)) return true;
    if (!worker.retired) ++seats_taken[worker.info.pool];  // that seat is free in a moment
  }
  if (pools_.empty()) return workers_.empty();
  return std::ranges::any_of(pools_, [&](const auto& entry) {
    const PoolInfo& pool = entry.second;
    const bool serves = !role || std::ranges::find(pool.roles, *role) != pool.roles.end();
    return serves && seats_taken[pool.name] < pool.max_workers;
  });
}

bool WorkerTable::has_device(std::optional<Role> role, const std::string& device_uuid) const {
  return std::ranges::any_of(workers_, [&](const auto& entry) {
    const Worker& worker = entry.second;
    return worker.up() && has_role(worker, role) && is_on(worker, device_uuid);
  });
}

std::string WorkerTable::devices_in_words() const {
  std::map<std::string, std::string> devices;
  for (const auto& [id, worker] : workers_) {
    if (!worker.up() || worker.device_uuid.empty()) continue;
    std::string roles;
    for (const Role role : roles_of(worker.info.pool)) {
      roles += (roles.empty() ? "" : ", ") + std::string(role_name(role));
    }
    std::string& text = devices[worker.device_uuid];
    text += fmt::format("{}{}{}{}", text.empty() ? "" : "; ", worker.info.device,
                        roles.empty() ? "" : ": ", roles);
  }
  std::string words;
  for (const auto& [uuid, text] : devices) {
    words += fmt::format("{}{} ({})", words.empty() ? "" : ", ", uuid, text);
  }
  return words.empty() ? "none" : words;
}

std::vector<std::shared_ptr<WorkerPort>> WorkerTable::gpu_ports() const {
  std::vector<std::shared_ptr<WorkerPort>> ports;
  for (const auto& [id, worker] : workers_) {
    if (worker.port && !worker.device_uuid.empty()) ports.push_back(worker.port);
  }
  return ports;
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

std::vector<std::shared_ptr<WorkerPort>> WorkerTable::ports() const {
  std::vector<std::shared_ptr<WorkerPort>> ports;
  for (const auto& [id, worker] : workers_) {
    if (worker.port) ports.push_back(worker.port);
  }
  return ports;
}

std::vector<WorkerInfo> WorkerTable::list(TimePoint now) const {
  std::vector<WorkerInfo> infos;
  for (const auto& [id, worker] : workers_) {
    WorkerInfo& info = infos.emplace_back(worker.info);
    info.seconds_since_heartbeat = std::chrono::duration<double>(now - worker.heard).count();
  }
  return infos;
}

std::vector<PoolInfo> WorkerTable::pools() const {
  std::map<std::string, PoolInfo> pools = pools_;
  for (const auto& [id, worker] : workers_) {
    const auto pool = pools.find(worker.info.pool);
    if (pool == pools.end()) continue;
    pool->second.workers += worker.up();
    pool->second.jobs += worker.jobs;
  }
  std::vector<PoolInfo> infos;
  for (auto& [name, pool] : pools) infos.push_back(std::move(pool));
  return infos;
}

std::vector<Role> WorkerTable::roles_of(const std::string& pool) const {
  const auto found = pools_.find(pool);
  return found == pools_.end() ? std::vector<Role>() : found->second.roles;
}

PoolLoad WorkerTable::load(const std::string& pool) const {
  PoolLoad load;
  for (const auto& [id, worker] : workers_) {
    if (worker.info.pool != pool || !worker.up()) continue;
    load.workers.push_back({id, worker.routable, worker.jobs, worker.idle_since});
  }
  return load;
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
