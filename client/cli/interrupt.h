#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

namespace luna::client {

/// Ctrl-C and SIGTERM: they end the process with 130, or, once a command has something to cancel,
/// request a stop first and end the process the second time. Made in main before any other thread,
/// since the signals are blocked in this thread and in those that it starts.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  /// From here on the first signal only requests a stop.
  void make_cancellable() { cancellable_ = true; }
  /// The same, and nothing is said about it.
  void make_stoppable() {
    silent_ = true;
    cancellable_ = true;
  }

 private:
  void watch();

  std::stop_source stop_;
  std::atomic<bool> cancellable_ = false;
  std::atomic<bool> silent_ = false;
  int signals_ = -1;
  int end_ = -1;
  std::thread thread_;
};

}  // namespace luna::client
