#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "common/base/status.h"

namespace luna::worker {

/// One thread that runs what it is given, in order. For work that must not hold up the device:
/// reading files, tokenising.
class BackgroundThread {
 public:
  using Work = std::function<void()>;

  /// `prepare` runs first, on the thread, and `rest` whenever nothing more waits. At most `limit`
  /// pieces of work wait.
  BackgroundThread(std::string name, std::size_t limit, Work prepare = {}, Work rest = {});
  /// Finishes the piece that runs; those that wait are dropped.
  ~BackgroundThread();
  BackgroundThread(const BackgroundThread&) = delete;
  BackgroundThread& operator=(const BackgroundThread&) = delete;

  /// RESOURCE_EXHAUSTED when `limit` pieces are waiting.
  Status post(Work work);

 private:
  void loop(const Work& prepare, const Work& rest);

  const std::string name_;
  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace luna::worker
