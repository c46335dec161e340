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
  std::uint64_t next_id = 1;
  for (Placement& placement : place_workers(*setup_.config, setup_.machine, setup_.common)) {
    SupervisedWorker::Setup worker{.id = WorkerId{next_id++},
                                   .placement = std::move(placement),
                                   .config = setup_.config->supervision,
                                   .program = setup_.worker_program,
                                   .make_port = setup_.make_port,
                                   .on_stopped = [this] { notice_stopped(); }};
    workers_.push_back(std::make_shared<SupervisedWorker>(io_, core_, std::move(worker)));
  }
  for (const auto& worker : workers_) worker->start();
  return {};
}

void Supervisor::stop(Deadline deadline, std::function<void()> done) {
  when_stopped_ = std::move(done);
  for (const auto& worker : workers_) worker->stop(deadline);
  notice_stopped();
}

void Supervisor::kill() {
  for (const auto& worker : workers_) worker->kill();
}

void Supervisor::notice_stopped() {
  if (!when_stopped_ ||
      !std::ranges::all_of(workers_, &SupervisedWorker::stopped,
                           [](const auto& w) -> const SupervisedWorker& { return *w; })) {
    return;
  }
  boost::asio::post(io_, std::exchange(when_stopped_, nullptr));
}

}  // namespace luna::front
