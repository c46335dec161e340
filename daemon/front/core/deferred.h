#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace luna::front {

/// Calls that wait until a lock is released: declared before the lock's guard, it runs them, in
/// order, after the guard is gone. Callbacks and ports are only ever called from here.
class Deferred {
 public:
  Deferred() = default;
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;
  ~Deferred() {
    for (std::function<void()>& call : calls_) call();
  }

  void add(std::function<void()> call) { calls_.push_back(std::move(call)); }

 private:
  std::vector<std::function<void()>> calls_;
};

}  // namespace luna::front
