#include "daemon/front/api/unary_call.h"

#include <grpcpp/server_context.h>

namespace luna::front {

std::shared_ptr<UnaryCall> UnaryCall::open(Gate::Ticket ticket) {
  auto call = std::make_shared<UnaryCall>();
  call->ticket_ = std::move(ticket);
  call->self_ = call;
  return call;
}

void UnaryCall::bind(FrontCore& core, JobId job) {
  {
    std::lock_guard lock(mutex_);
    core_ = &core;
    job_ = job;
    if (!cancelled_) return;
  }
  core.cancel(job);
}

void UnaryCall::OnCancel() {
  const auto keep = shared_from_this();
  FrontCore* core = nullptr;
  JobId job;
  HandedOver lost;
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    core = core_;
    job = job_;
    lost = std::exchange(results_, {});
  }
  lost.drop();
  finish(Status(StatusCode::kCancelled, "the client cancelled the call or went away"));
  if (core) core->cancel(job);
}

void UnaryCall::OnDone() {
  ticket_.release();
  const auto last = std::move(self_);
}

grpc::ServerUnaryReactor* answer_now(grpc::CallbackServerContext* context, const Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(to_grpc(status));
  return reactor;
}

}  // namespace luna::front
