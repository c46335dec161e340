#include "client/rpc/sample_reader.h"

#include "common/wire/sampling_wire.h"

namespace luna::client {

void SampleReader::start(const SampleRequest& request) {
  wire::to_wire(request, &request_);
  connection_.primitives().async()->Sample(&context_, &request_, this);
  StartRead(&response_);
  StartCall();
}

Status SampleReader::take() {
  if (response_.has_progress()) {
    LUNA_ASSIGN_OR_RETURN(const SampleProgress progress,
                          wire::from_wire(*response_.mutable_progress()));
    if (progress_) progress_(progress);
  } else if (response_.has_result()) {
    LUNA_ASSIGN_OR_RETURN(result_, wire::from_wire(*response_.mutable_result()));
  }
  return {};
}

void SampleReader::OnReadDone(bool ok) {
  if (!ok) return;  // OnDone follows
  if (const Status status = take(); !status.ok() && failure_.ok()) {
    failure_ = status.with_context("lunad's reply");
    context_.TryCancel();
  }
  StartRead(&response_);
}

void SampleReader::OnDone(const grpc::Status& end) {
  call_->detach();
  const auto done = std::move(done_);
  Result<JobReply> outcome = finish(connection_.status(end));
  // The context goes first: with the answer the client may go too, and the channel's last reference
  // must not end on a thread of the channel's own.
  delete this;
  done(std::move(outcome));
}

Result<JobReply> SampleReader::finish(const Status& end) {
  if (!failure_.ok()) return failure_;
  if (!end.ok()) return end;
  if (!result_) return error(StatusCode::kInternal, "lunad ended a sample call without a result");
  return JobReply(std::move(*result_));
}

}  // namespace luna::client
