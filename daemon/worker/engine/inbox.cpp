#include "daemon/worker/engine/inbox.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

namespace luna::worker {

Inbox::Inbox() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  polled_.push_back({wake_.get(), POLLIN, 0});
}

void Inbox::post(Call call) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    wake = std::exchange(waiting_, false);
  }
  const std::uint64_t one = 1;
  if (wake) (void)!::write(wake_.get(), &one, sizeof(one));
}

std::deque<Inbox::Call> Inbox::take_posted() {
  std::lock_guard lock(mutex_);
  return std::exchange(calls_, {});
}

std::deque<Inbox::Call> Inbox::take(Deadline until) {
  while (true) {
    bool nothing = false;
    {
      std::lock_guard lock(mutex_);
      nothing = calls_.empty();
      waiting_ = nothing && !until.expired();
    }
    const bool wait = nothing && !until.expired();
    if (wait || !watched_.empty()) poll_until(wait ? until : Deadline::after({}));
    std::deque<Call> calls = take_posted();
    for (const pollfd& polled : polled_) {
      if (polled.fd == wake_.get() || polled.revents == 0) continue;
      calls.push_back([this, fd = polled.fd] {
        // One of the calls before may have ended it.
        if (const auto watched = watched_.find(fd); watched != watched_.end()) {
          const Call ready = watched->second;
          ready();
        }
      });
    }
    if (!calls.empty() || until.expired()) return calls;
  }
}

void Inbox::poll_until(Deadline until) {
  for (pollfd& polled : polled_) polled.revents = 0;
  timespec left{};
  if (!until.infinite()) {
    const auto nanoseconds = std::max(until.left(), std::chrono::nanoseconds(0));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(nanoseconds);
    left.tv_sec = static_cast<time_t>(seconds.count());
    left.tv_nsec = static_cast<long>((nanoseconds - seconds).count());
  }
  // Interrupted, or out of memory for a moment: as if nothing had come.
  if (::ppoll(polled_.data(), polled_.size(), until.infinite() ? nullptr : &left, nullptr) < 0) {
    for (pollfd& polled : polled_) polled.revents = 0;
  }
  if (polled_.front().revents != 0) {
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof(count));
  }
}

void Inbox::watch(int fd, short events, Call ready) {
  unwatch(fd);
  watched_.emplace(fd, std::move(ready));
  polled_.push_back({fd, events, 0});
}

void Inbox::unwatch(int fd) {
  watched_.erase(fd);
  std::erase_if(polled_, [fd](const pollfd& polled) { return polled.fd == fd; });
}

}  // namespace luna::worker
