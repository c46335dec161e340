#include "daemon/front/supervisor/process_reserve.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>

#include "common/log/log.h"

namespace luna::front {

ProcessReserve::ProcessReserve(boost::asio::io_context& io, Setup setup)
    : io_(io), setup_(std::move(setup)) {}

Result<StartedWorker> ProcessReserve::start(int threads,
                                            std::function<void(ProcessEnd)> on_end) const {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return error(StatusCode::kUnavailable, "no socket pair: {}", std::strerror(errno));
  }
  StartedWorker worker;
  worker.control = UniqueFd(pair[0]);
  const UniqueFd theirs(pair[1]);
  ChildProcess::Command command;
  command.program = setup_.program;
  command.arguments = {"--control-fd", std::to_string(ChildProcess::kControlFd)};
  // Threads that spin while they wait starve the other workers', and ones that sleep at once spend
  // most of a small forward waking up (docs/architecture.md, 2).
  command.environment = {"OMP_WAIT_POLICY=PASSIVE", "GOMP_SPINCOUNT=5000",
                         fmt::format("OMP_NUM_THREADS={}", threads)};
  command.control_fd = theirs.get();
  LUNA_ASSIGN_OR_RETURN(worker.process, ChildProcess::start(io_, command, std::move(on_end)));
  return worker;
}

std::list<ProcessReserve::Spare>::iterator ProcessReserve::find(int pid) {
  return std::ranges::find_if(
      spares_, [pid](const Spare& spare) { return spare.worker.process->pid() == pid; });
}

Result<StartedWorker> ProcessReserve::take(int threads, std::function<void(ProcessEnd)> on_end) {
  const auto spare = std::ranges::find(spares_, threads, &Spare::threads);
  if (spare == spares_.end()) return start(threads, std::move(on_end));
  StartedWorker worker = std::move(spare->worker);
  spares_.erase(spare);
  worker.process->tell_end_to(std::move(on_end));
  return worker;
}

bool ProcessReserve::has_spare(int threads) const {
  return std::ranges::find(spares_, threads, &Spare::threads) != spares_.end();
}

void ProcessReserve::fill(int threads, TimePoint now) {
  const auto waiting = std::ranges::count(spares_, threads, &Spare::threads);
  if (now < not_before_ || waiting >= setup_.size) return;
  // The spare one is found by its pid: the reserve may end it, and another owner take it, before.
  const auto pid = std::make_shared<int>(-1);
  Result<StartedWorker> started = start(threads, [this, pid](const ProcessEnd& end) {
    const auto spare = find(*pid);
    if (spare == spares_.end()) return;
    log::logger("supervisor").warn("a spare worker, pid {}, is gone: {}", *pid, end.in_words());
    spares_.erase(spare);
    not_before_ = std::chrono::steady_clock::now() + kPause;
  });
  if (!started.ok()) {
    log::logger("supervisor").warn("no spare worker: {}", started.status().message());
    not_before_ = now + kPause;
    return;
  }
  *pid = started->process->pid();
  spares_.push_back({std::move(started).value(), threads});
}

}  // namespace luna::front
