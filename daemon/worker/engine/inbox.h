#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "common/base/deadline.h"

namespace luna::worker {

/// What other threads want the device thread to do. Bounded by the jobs that may be live, each of
/// which posts a few calls at most.
class Inbox {
 public:
  using Call = std::function<void()>;

  void post(Call call);
  /// Everything that has come. Waits for something until `until` when there is nothing; never for
  /// Deadline()s that have passed.
  std::deque<Call> take(Deadline until);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Call> calls_;
};

}  // namespace luna::worker
