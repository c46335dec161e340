#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_set>

#include <grpcpp/client_context.h>

#include "client/service/inference_service.h"

namespace luna::client {

/// What a caller cancels. A call goes through several exchanges when tensors are uploaded first or
/// fetched afterwards; the one under way is attached here.
class CallState final : public CallHandle {
 public:
  void cancel() override;
  bool cancelled() const;
  /// `context` stays valid until detach(). One that is attached after cancel() is cancelled at
  /// once.
  void attach(grpc::ClientContext* context);
  /// The same for what `stop` ends.
  void attach(std::function<void()> stop);
  void detach();

 private:
  mutable std::mutex mutex_;
  std::function<void()> stop_;
  bool cancelled_ = false;
};

/// The calls that have not been answered yet.
class RunningCalls {
 public:
  std::shared_ptr<CallState> begin();
  void end(const std::shared_ptr<CallState>& call);
  /// Cancels all and waits until each has been answered.
  void finish_all();

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  std::unordered_set<std::shared_ptr<CallState>> calls_;
};

}  // namespace luna::client
