#include "client/rpc/call_state.h"

namespace luna::client {

void CallState::cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (stop_) stop_();
}

bool CallState::cancelled() const {
  std::lock_guard lock(mutex_);
  return cancelled_;
}

void CallState::attach(grpc::ClientContext* context) {
  attach([context] { context->TryCancel(); });
}

void CallState::attach(std::function<void()> stop) {
  std::lock_guard lock(mutex_);
  stop_ = std::move(stop);
  if (cancelled_) stop_();
}

void CallState::detach() {
  std::lock_guard lock(mutex_);
  stop_ = nullptr;
}

std::shared_ptr<CallState> RunningCalls::begin() {
  auto call = std::make_shared<CallState>();
  std::lock_guard lock(mutex_);
  calls_.insert(call);
  return call;
}

void RunningCalls::end(const std::shared_ptr<CallState>& call) {
  std::lock_guard lock(mutex_);
  calls_.erase(call);
  if (calls_.empty()) none_.notify_all();
}

void RunningCalls::finish_all() {
  std::unique_lock lock(mutex_);
  for (const auto& call : calls_) call->cancel();
  none_.wait(lock, [this] { return calls_.empty(); });
}

}  // namespace luna::client
