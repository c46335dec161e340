#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "client/service/inference_service.h"

namespace luna::client {

/// A primitive under way. get() waits for it, cancel() ends it early on the server; an object that
/// goes away before its call has ended cancels it and does not wait. Movable; one thread at a time,
/// except cancel(), which any thread may call while the object lives.
template <class Reply>
class Call {
 public:
  /// `begin(done)` starts the call and returns its handle; done may come before it returns.
  template <class Begin>
  static Call start(Begin begin) {
    Call call;
    call.state_ = std::make_shared<State>();
    call.handle_ = begin([state = call.state_](Result<Reply> reply) {
      const std::lock_guard lock(state->mutex);
      state->reply = std::move(reply);
      state->done.notify_all();
    });
    return call;
  }

  ~Call() { abandon(); }
  Call(Call&& other) noexcept
      : state_(std::move(other.state_)), handle_(std::exchange(other.handle_, nullptr)) {}
  Call& operator=(Call&& other) noexcept {
    if (this != &other) {
      abandon();
      state_ = std::move(other.state_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }

  bool ready() const {
    const std::lock_guard lock(state_->mutex);
    return state_->reply.has_value();
  }

  /// The call's outcome follows as CANCELLED, unless it was faster.
  void cancel() const {
    if (handle_) handle_->cancel();
  }

  /// Waits for the outcome and takes it; once. A stop request cancels the call, and its outcome is
  /// waited for, so that nothing of it runs on.
  Result<Reply> get(std::stop_token stop = {}) {
    const std::stop_callback on_stop(stop, [this] { cancel(); });
    std::unique_lock lock(state_->mutex);
    state_->done.wait(lock, [this] { return state_->reply.has_value(); });
    Result<Reply> reply = std::move(*state_->reply);
    return reply;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable done;
    std::optional<Result<Reply>> reply;
  };

  Call() = default;
  void abandon() {
    if (handle_ && state_ && !ready()) handle_->cancel();
    handle_.reset();
  }

  std::shared_ptr<State> state_;
  std::shared_ptr<CallHandle> handle_;
};

}  // namespace luna::client
