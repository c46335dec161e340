#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace luna::client {

/// A few threads for what must not run on the caller's or on gRPC's: answers that are known at
/// once, and transfers of large tensors. Threads start when first needed. The queue holds at most
/// one task for each running call.
class Courier {
 public:
  static constexpr std::size_t kThreads = 4;

  Courier() = default;
  /// Runs what was posted, then ends. Never from one of its own tasks.
  ~Courier();
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  void post(std::function<void()> task);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> tasks_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace luna::client
