#include "daemon/front/api/sample_stream.h"

#include <utility>

#include "common/wire/sampling_wire.h"
#include "daemon/front/api/grpc_status.h"

namespace luna::front {

std::shared_ptr<SampleStream> SampleStream::open(ApiContext& api, Gate::Ticket ticket) {
  auto stream = std::make_shared<SampleStream>();
  stream->api_ = &api;
  stream->ticket_ = std::move(ticket);
  stream->self_ = stream;
  return stream;
}

void SampleStream::start(const Caller& caller, SampleRequest request) {
  const auto self = shared_from_this();
  session_ = caller.session_id;
  JobEvents events;
  events.on_progress = [self](const SampleProgress& progress) { self->on_progress(progress); };
  events.on_done = [self](Result<JobReply> result) { self->on_done(std::move(result)); };
  const JobId job = api_->core.submit(caller, std::move(request), std::move(events));
  {
    std::lock_guard lock(mutex_);
    job_ = job;
    submitted_ = true;
    if (!cancelled_) return;
  }
  api_->core.cancel(job);
}

void SampleStream::refuse(const Status& status) {
  std::lock_guard lock(mutex_);
  end_ = status;
  advance();
}

void SampleStream::on_progress(const SampleProgress& progress) {
  std::lock_guard lock(mutex_);
  if (end_) return;
  std::optional<TensorRef> preview;
  if (waiting_) preview = std::move(waiting_->preview);
  waiting_ = progress;
  if (!waiting_->preview) waiting_->preview = std::move(preview);
  advance();
}

void SampleStream::on_done(Result<JobReply> result) {
  std::lock_guard lock(mutex_);
  if (end_) return;
  if (!result.ok()) {
    end_ = result.status();
  } else if (SampleReply* reply = std::get_if<SampleReply>(&*result); !reply) {
    end_ = error(StatusCode::kInternal, "a worker answered another kind of job");
  } else {
    regions_ = hand_over(api_->core, session_, *result);
    end_ = check_inline_size(*result, api_->limits);
    if (end_->ok()) {
      result_ = std::move(*reply);
    } else {
      regions_.drop();
    }
  }
  advance();
}

void SampleStream::advance() {
  if (writing_ || finished_) return;
  if (end_ && !end_->ok()) {
    finished_ = true;
    Finish(to_grpc(*end_));
    return;
  }
  on_its_way_.Clear();
  if (waiting_) {
    wire::to_wire(*waiting_, on_its_way_.mutable_progress());
    waiting_.reset();
  } else if (result_) {
    wire::to_wire(*result_, on_its_way_.mutable_result());
    result_.reset();
  } else {
    if (end_) {
      finished_ = true;
      Finish(grpc::Status::OK);
    }
    return;
  }
  writing_ = true;
  StartWrite(&on_its_way_);
}

void SampleStream::OnWriteDone(bool ok) {
  const auto keep = shared_from_this();
  std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok) {
    regions_.drop();
    waiting_.reset();
    result_.reset();
    if (!end_ || end_->ok()) end_ = error(StatusCode::kCancelled, "the client went away");
  }
  advance();
}

void SampleStream::OnCancel() {
  const auto keep = shared_from_this();
  JobId job;
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    end_ = error(StatusCode::kCancelled, "the client cancelled the call or went away");
    waiting_.reset();
    result_.reset();
    regions_.drop();
    advance();
    if (!submitted_) return;
    job = job_;
  }
  api_->core.cancel(job);
}

void SampleStream::OnDone() {
  ticket_.release();
  const auto last = std::move(self_);
}

}  // namespace luna::front
