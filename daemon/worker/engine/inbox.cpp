#include "daemon/worker/engine/inbox.h"

#include <utility>

namespace luna::worker {

void Inbox::post(Call call) {
  {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  changed_.notify_one();
}

std::deque<Inbox::Call> Inbox::take(Deadline until) {
  std::unique_lock lock(mutex_);
  const auto something = [this] { return !calls_.empty(); };
  if (until.infinite()) {
    changed_.wait(lock, something);
  } else {
    changed_.wait_until(lock, until.at(), something);
  }
  return std::exchange(calls_, {});
}

}  // namespace luna::worker
