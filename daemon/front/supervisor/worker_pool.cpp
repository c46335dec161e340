#include "daemon/front/supervisor/worker_pool.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/log/log.h"

namespace luna::front {
namespace {

/// An idle worker has nothing to finish.
constexpr std::chrono::seconds kIdleStopTime{5};

PoolInfo describe(const Config::Pool& config, const std::vector<Placement>& seats) {
  PoolInfo info;
  info.name = config.name;
  for (const std::string& name : config.roles) {
    if (const auto role = role_from_name(name)) info.roles.push_back(*role);
  }
  for (const Placement& seat : seats) {
    if (info.devices.empty() || info.devices.back() != seat.settings.device) {
      info.devices.push_back(seat.settings.device);
    }
  }
  info.max_workers = static_cast<std::uint32_t>(seats.size());
  info.min_workers = info.max_workers / config.most_workers() * config.min_workers;
  return info;
}

}  // namespace

WorkerPool::WorkerPool(boost::asio::io_context& io, FrontCore& core, Setup setup)
    : io_(io),
      core_(core),
      setup_(std::move(setup)),
      rule_(setup_.config),
      processes_(std::make_shared<ProcessReserve>(
          io, ProcessReserve::Setup{setup_.program, setup_.config.spare_workers})) {
  core_.describe_pool(describe(setup_.config, setup_.seats));
  for (Placement& placement : setup_.seats) seats_.push_back({std::move(placement), {}, nullptr});
}

void WorkerPool::start() {
  for (Seat& seat : seats_) {
    if (occupied(seat.placement.settings.device) < setup_.config.min_workers) occupy(seat);
  }
}

void WorkerPool::occupy(Seat& seat) {
  seat.id = setup_.next_id();
  SupervisedWorker::Setup worker{.id = seat.id,
                                 .placement = seat.placement,
                                 .config = setup_.supervision,
                                 .processes = processes_,
                                 .make_port = setup_.make_port,
                                 .on_stopped = setup_.on_stopped};
  seat.worker = std::make_shared<SupervisedWorker>(io_, core_, std::move(worker));
  seat.worker->start();
}

std::size_t WorkerPool::occupied(const std::string& device) const {
  return static_cast<std::size_t>(std::ranges::count_if(seats_, [&](const Seat& seat) {
    return seat.worker && seat.placement.settings.device == device;
  }));
}

WorkerPool::Seat* WorkerPool::emptiest() {
  Seat* best = nullptr;
  for (Seat& seat : seats_) {
    if (seat.worker) continue;
    if (!best ||
        occupied(seat.placement.settings.device) < occupied(best->placement.settings.device)) {
      best = &seat;
    }
  }
  return best;
}

void WorkerPool::scale(TimePoint now) {
  if (stopping_) return;
  for (Seat& seat : seats_) {
    if (seat.worker && seat.worker->stopped()) seat.worker.reset();
  }
  keep_spares(now);
  PoolLoad load = core_.pool_load(setup_.config.name);
  if (rule_.wants_more(load, now)) {
    if (Seat* seat = emptiest()) occupy(*seat);
    return;
  }
  std::set<WorkerId> may_end;
  for (const Seat& seat : seats_) {
    const bool spare = occupied(seat.placement.settings.device) > setup_.config.min_workers;
    if (seat.worker && spare) may_end.insert(seat.id);
  }
  std::erase_if(load.workers, [&](const auto& worker) { return !may_end.contains(worker.id); });
  const std::optional<WorkerId> idle = rule_.wants_to_end(load, now);
  if (!idle || !core_.retire_worker(*idle)) return;
  const auto seat = std::ranges::find(seats_, *idle, &Seat::id);
  log::logger("supervisor").info("{} has been idle and is stopped", log::field(*idle));
  seat->worker->stop(Deadline::after(kIdleStopTime));
}

void WorkerPool::keep_spares(TimePoint now) {
  if (std::ranges::none_of(seats_, [](const Seat& seat) { return seat.worker != nullptr; })) {
    processes_->clear();
  }
  const auto ready = std::ranges::find_if(
      seats_, [](const Seat& seat) { return seat.worker && seat.worker->ready(); });
  if (ready != seats_.end()) processes_->fill(ready->placement.settings.threads, now);
}

void WorkerPool::stop(Deadline deadline) {
  stopping_ = true;
  processes_->clear();
  for (const Seat& seat : seats_) {
    if (seat.worker) seat.worker->stop(deadline);
  }
}

void WorkerPool::kill() {
  stopping_ = true;
  processes_->clear();
  for (const Seat& seat : seats_) {
    if (seat.worker) seat.worker->kill();
  }
}

bool WorkerPool::stopped() const {
  return std::ranges::all_of(
      seats_, [](const Seat& seat) { return !seat.worker || seat.worker->stopped(); });
}

}  // namespace luna::front
