#include "daemon/front/supervisor/supervisor.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <boost/asio/post.hpp>
#include <unistd.h>

namespace luna::front {

Supervisor::Supervisor(boost::asio::io_context& io, FrontCore& core, Setup setup)
    : io_(io), core_(core), setup_(std::move(setup)) {}

Supervisor::~Supervisor() = default;

Status Supervisor::start() {
  if (::access(setup_.worker_program.c_str(), X_OK) != 0) {
    return error(StatusCode::kFailedPrecondition,
                 "the worker program '{}' cannot be started: {} (set [supervision] worker_program)",
                 setup_.worker_program, std::strerror(errno));
  }
  const std::vector<Placement> placements =
      place_workers(*setup_.config, setup_.machine, setup_.common);
  for (const Config::Pool& config : setup_.config->pools) {
    WorkerPool::Setup pool{.config = config,
                           .supervision = setup_.config->supervision,
                           .seats = {},
                           .program = setup_.worker_program,
                           .make_port = setup_.make_port,
                           .next_id = [this] { return WorkerId{++last_id_}; },
                           .on_stopped = [this] { notice_stopped(); }};
    if (config.start_timeout_ms > 0) pool.supervision.start_timeout_ms = config.start_timeout_ms;
    if (config.crash_loop_limit > 0) pool.supervision.crash_loop_limit = config.crash_loop_limit;
    for (const Placement& placement : placements) {
      if (placement.pool == config.name) pool.seats.push_back(placement);
    }
    pools_.push_back(std::make_unique<WorkerPool>(io_, core_, std::move(pool)));
  }
  for (const auto& pool : pools_) pool->start();
  return {};
}

void Supervisor::scale(TimePoint now) {
  for (const auto& pool : pools_) pool->scale(now);
}

void Supervisor::stop(Deadline deadline, std::function<void()> done) {
  when_stopped_ = std::move(done);
  for (const auto& pool : pools_) pool->stop(deadline);
  notice_stopped();
}

void Supervisor::kill() {
  for (const auto& pool : pools_) pool->kill();
}

void Supervisor::notice_stopped() {
  if (!when_stopped_ ||
      !std::ranges::all_of(pools_, [](const auto& pool) { return pool->stopped(); })) {
    return;
  }
  boost::asio::post(io_, std::exchange(when_stopped_, nullptr));
}

}  // namespace luna::front
