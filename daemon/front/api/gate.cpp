#include "daemon/front/api/gate.h"

namespace luna::front {

void Gate::Ticket::release() {
  if (Gate* gate = std::exchange(gate_, nullptr)) gate->leave();
}

Result<Gate::Ticket> Gate::enter() {
  std::lock_guard lock(mutex_);
  if (closed_) {
    return error(StatusCode::kUnavailable,
                 "lunad is stopping: running calls are finished, new ones are refused");
  }
  ++running_;
  return Ticket(this);
}

Gate::Ticket Gate::enter_late() {
  std::lock_guard lock(mutex_);
  ++running_;
  return Ticket(this);
}

void Gate::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

bool Gate::closed() const {
  std::lock_guard lock(mutex_);
  return closed_;
}

bool Gate::wait_idle(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto none = [this] { return running_ == 0; };
  if (deadline.infinite()) {
    idle_.wait(lock, none);
    return true;
  }
  return idle_.wait_until(lock, deadline.at(), none);
}

void Gate::leave() {
  std::lock_guard lock(mutex_);
  if (--running_ == 0) idle_.notify_all();
}

}  // namespace luna::front
