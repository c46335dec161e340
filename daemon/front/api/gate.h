#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include "common/base/deadline.h"
#include "common/base/status.h"

namespace luna::front {

/// Counts the calls that are running, and refuses new ones once it is closed. Outlives its tickets.
class Gate {
 public:
  /// One running call; leaving the scope ends it.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Ticket& operator=(Ticket&& other) noexcept {
      release();
      gate_ = std::exchange(other.gate_, nullptr);
      return *this;
    }
    ~Ticket() { release(); }
    void release();

   private:
    friend class Gate;
    explicit Ticket(Gate* gate) : gate_(gate) {}
    Gate* gate_ = nullptr;
  };

  /// UNAVAILABLE once closed.
  Result<Ticket> enter();
  /// For calls that clients need to finish what they began: fetching and freeing results. Never
  /// refused.
  Ticket enter_late();

  void close();
  bool closed() const;
  /// True when no call is running any more, false when the deadline came first.
  bool wait_idle(Deadline deadline);

 private:
  void leave();

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::uint64_t running_ = 0;
  bool closed_ = false;
};

}  // namespace luna::front
