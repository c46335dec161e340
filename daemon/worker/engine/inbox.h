#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include <poll.h>

#include "common/base/deadline.h"
#include "common/base/unique_fd.h"

namespace luna::worker {

/// What the device thread is woken for: calls that other threads post, and descriptors that are
/// ready. Calls are bounded by the jobs that may be live, each of which posts a few at most.
class Inbox {
 public:
  using Call = std::function<void()>;

  Inbox();

  void post(Call call);
  /// Everything that has come, in its order, then the callbacks of descriptors that are ready.
  /// Waits for something until `until` when there is nothing; never for Deadline()s that have
  /// passed.
  std::deque<Call> take(Deadline until);
  /// What was posted, and no descriptor is looked at.
  std::deque<Call> take_posted();

  /// take() gives `ready` whenever one of `events` (poll's) is there or the peer is gone, until
  /// unwatch() or another watch(). Both from the thread that takes.
  void watch(int fd, short events, Call ready);
  void unwatch(int fd);

 private:
  /// Waits, then notes in polled_ what is ready.
  void poll_until(Deadline until);

  std::mutex mutex_;
  std::deque<Call> calls_;
  bool waiting_ = false;  ///< the next post must write to wake_
  UniqueFd wake_;         ///< an eventfd

  // Of the taking thread:
  std::map<int, Call> watched_;
  std::vector<pollfd> polled_;  ///< wake_, then watched_
};

}  // namespace luna::worker
