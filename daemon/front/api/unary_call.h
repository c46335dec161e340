#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include <grpcpp/support/server_callback.h>

#include "daemon/front/api/api_context.h"
#include "daemon/front/api/grpc_status.h"
#include "daemon/front/api/handed_over.h"

namespace luna::front {

/// A unary call that is answered once, from whatever thread has the answer, or by its cancellation.
/// Owns itself until gRPC is done with it; whoever still holds a pointer then finds it finished,
/// and writes no more into the response (which is gone).
class UnaryCall final : public grpc::ServerUnaryReactor,
                        public std::enable_shared_from_this<UnaryCall> {
 public:
  static std::shared_ptr<UnaryCall> open(Gate::Ticket ticket);

  /// Runs `fill`, which writes the response and returns a Status, and ends the call with that. Does
  /// nothing for a call that has ended.
  template <class Fill>
  void finish_with(Fill&& fill) {
    std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    Finish(to_grpc(std::forward<Fill>(fill)()));
  }
  void finish(const Status& status) {
    finish_with([&]() -> const Status& { return status; });
  }

  /// Within finish_with(): should the answer not reach the client, these results are dropped.
  void answer_with(HandedOver results) { results_ = std::move(results); }

  /// Ties the call's cancellation to a job; cancels it at once when the call is cancelled already.
  void bind(FrontCore& core, JobId job);

  void OnCancel() override;
  void OnDone() override;

 private:
  std::mutex mutex_;
  std::shared_ptr<UnaryCall> self_;
  Gate::Ticket ticket_;
  FrontCore* core_ = nullptr;
  JobId job_;
  HandedOver results_;
  bool cancelled_ = false;
  bool finished_ = false;
};

/// Ends a call with what is known already: a refusal, or a response that was written on the spot.
grpc::ServerUnaryReactor* answer_now(grpc::CallbackServerContext* context, const Status& status);

}  // namespace luna::front
