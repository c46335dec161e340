#include "daemon/worker/steps/step_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "common/local/socket.h"
#include "common/log/log.h"
#include "common/wire/sampling_wire.h"
#include "common/wire/status_mapping.h"

namespace luna::worker {
namespace {

constexpr std::uint16_t kRequest = 1, kResponse = 2;  ///< messages of the version
constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kPiecesPerSend = 8;

FrameLimits request_limits() {
  return {.body_bytes = StepConnection::kMostBodyBytes, .inline_bytes = 0, .attachments = 1};
}

/// What a result may need beside its tensors, and these inline.
FrameLimits response_limits() { return {.body_bytes = std::size_t{256} << 20}; }

/// Nobody will read an answer; false when just this side's reading was shut down.
bool peer_is_gone(int socket) {
  pollfd polled{socket, 0, 0};
  return ::poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR)) != 0;
}

std::string_view request_name(const v1::LocalRequest& request) {
  const auto* field =
      v1::LocalRequest::descriptor()->FindFieldByNumber(static_cast<int>(request.request_case()));
  return field ? std::string_view(field->name()) : "no request";
}

}  // namespace

StepConnection::StepConnection(Engine& engine, StepsOpening opening, UniqueFd socket, Owner owner)
    : engine_(engine),
      opening_(std::move(opening)),
      socket_(std::move(socket)),
      owner_(std::move(owner)),
      decoder_(kVersion, request_limits()),
      buffer_(kReadBytes) {}

void StepConnection::start() { watch_what_matters(); }

void StepConnection::finish() {
  finishing_ = true;
  pending_.clear();
  if (!running_ && unsent_.empty()) return end();
  watch_what_matters();
}

void StepConnection::end() {
  if (std::exchange(ended_, true)) return;
  if (std::exchange(watched_, 0) != 0) engine_.unwatch(socket_.get());
  ::shutdown(socket_.get(), SHUT_RDWR);  // the front has a descriptor of it, too
  socket_.reset();
  pending_.clear();
  unsent_.clear();
  if (running_) engine_.cancel(*running_);
  regions_ = {};
  owner_.on_ended();
}

/// The peer's end is noticed while something is watched: when the pipeline is full, with the next
/// answer.
void StepConnection::watch_what_matters() {
  if (ended_) return;
  short events = unsent_.empty() ? 0 : POLLOUT;
  if (!finishing_ && pending_.size() < kPipeline) events |= POLLIN;
  if (events == watched_) return;
  watched_ = events;
  if (events == 0) return engine_.unwatch(socket_.get());
  engine_.watch(socket_.get(), events, [self = shared_from_this()] { self->on_ready(); });
}

void StepConnection::on_ready() {
  if (!unsent_.empty()) write();
  if (!ended_ && !finishing_ && pending_.size() < kPipeline) read();
  serve_next();
  watch_what_matters();
}

void StepConnection::read() {
  std::vector<UniqueFd> descriptors;
  const Result<Transfer> transfer = receive_some(socket_.get(), buffer_, descriptors);
  if (!transfer.ok()) return lose_framing(transfer.status());
  if (transfer->state == TransferState::kEnd) return peer_is_gone(socket_.get()) ? end() : finish();
  if (transfer->state != TransferState::kDone) return;
  const auto now = Deadline::Clock::now();
  const Status fed =
      decoder_.feed(std::span(buffer_).first(transfer->bytes), std::move(descriptors));
  while (std::optional<Frame> frame = decoder_.next()) pending_.push_back({std::move(*frame), now});
  if (!fed.ok()) lose_framing(fed);
}

void StepConnection::lose_framing(const Status& why) {
  log::logger("steps").warn("step socket {} of workflow '{}' ends: {}", opening_.id.value,
                            opening_.workflow, why.to_string());
  pending_.clear();
  response_.Clear();
  send_error(why);
  end();
}

void StepConnection::serve_next() {
  while (!ended_ && !running_ && unsent_.empty() && !pending_.empty()) {
    Pending next = std::move(pending_.front());
    pending_.pop_front();
    answer(next.frame, next.arrived);
  }
  if (!ended_ && finishing_ && !running_ && unsent_.empty()) end();
}

void StepConnection::answer(Frame& frame, Deadline::Clock::time_point arrived) {
  response_.Clear();
  Status status;
  if (frame.message != kRequest) {
    status = error(StatusCode::kInvalidArgument,
                   "expected a frame of message {} (LocalRequest), found message {}", kRequest,
                   frame.message);
  } else if (!request_.ParseFromString(frame.body)) {
    status = error(StatusCode::kInvalidArgument,
                   "expected a LocalRequest, found {} bytes that are none", frame.body.size());
  } else if (request_.has_denoise()) {
    status = evaluate(arrived);
    if (status.ok()) return;  // evaluated() answers
  } else if (request_.has_register_region()) {
    status = register_region(frame);
  } else if (request_.has_release_regions()) {
    status = release_regions();
  } else {
    status = error(StatusCode::kInvalidArgument,
                   "a step socket takes denoise, register_region and release_regions, found {}",
                   request_name(request_));
  }
  status.ok() ? send() : send_error(status);
}

Status StepConnection::register_region(Frame& frame) {
  const v1::RegisterRegion& wanted = request_.register_region();
  if (frame.descriptors.size() != 1) {
    return error(StatusCode::kInvalidArgument,
                 "register_region: expected one descriptor beside the frame, found {}",
                 frame.descriptors.size());
  }
  if (!wanted.device_uuid().empty()) {
    return error(StatusCode::kUnimplemented,
                 "register_region.device_uuid: memory of a GPU is not served on step sockets by "
                 "this version");
  }
  Result<StepRegions::Added> added =
      regions_.add(std::move(frame.descriptors.front()), wanted.bytes());
  if (!added.ok()) return added.status().with_context("register_region");
  response_.mutable_region_registered()->set_region_id(added->id);
  response_.mutable_region_registered()->set_constant(added->constant);
  return {};
}

Status StepConnection::release_regions() {
  const auto& ids = request_.release_regions().region_ids();
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t freed, regions_.release({ids.begin(), ids.end()}));
  response_.mutable_regions_released()->set_freed_bytes(freed);
  return {};
}

Status StepConnection::evaluate(Deadline::Clock::time_point arrived) {
  v1::DenoiseStep& message = *request_.mutable_denoise();
  LUNA_ASSIGN_OR_RETURN(StepRequest step, read_step(message, opening_, regions_));
  if (message.timeout_us() != 0) {
    constexpr std::uint64_t kLongest = std::uint64_t{365} * 24 * 3600 * 1'000'000;
    step.job.deadline =
        Deadline(arrived + std::chrono::microseconds(std::min(message.timeout_us(), kLongest)));
  }
  const JobId id = owner_.next_job();
  step.job.id = id;
  running_ = id;
  JobEvents events;
  events.on_done = [self = shared_from_this(), into = std::move(step.into)](
                       Result<JobReply> result) { self->evaluated(into, std::move(result)); };
  engine_.run(std::move(step.job), std::move(events), std::move(step.make_bytes));
  return {};
}

void StepConnection::evaluated(const std::vector<SharedRegion>& into, Result<JobReply> result) {
  running_.reset();
  if (ended_) return;
  if (result.ok() && !std::holds_alternative<DenoiseReply>(*result)) {
    result = error(StatusCode::kInternal, "the engine answered another kind of job");
  }
  if (!result.ok()) {
    send_error(result.status());
  } else {
    DenoiseReply& reply = std::get<DenoiseReply>(*result);
    for (std::size_t i = 0; i < into.size() && i < reply.denoised.size(); ++i)
      reply.denoised[i].place = into[i];
    wire::to_wire(reply, response_.mutable_denoised());
    send();
    owner_.on_evaluated();
  }
  if (ended_) return;
  if (pending_.empty() && !finishing_) return watch_what_matters();
  engine_.post([self = shared_from_this()] {
    self->serve_next();
    self->watch_what_matters();
  });
}

void StepConnection::send_error(const Status& status) {
  response_.Clear();
  response_.set_code(static_cast<std::uint32_t>(wire::grpc_code(status.code())));
  response_.set_message(wire::trailer_message(status.message()));
  send();
}

void StepConnection::send() {
  Result<WireFrame> frame = WireFrame::lay_out(
      {kVersion, kResponse, response_.SerializeAsString(), {}}, response_limits());
  if (!frame.ok()) return send_error(frame.status().with_context("sending the result"));
  unsent_.push_back(std::move(frame).value());
  write();
}

void StepConnection::write() {
  std::array<iovec, kPiecesPerSend> pieces;
  while (!unsent_.empty()) {
    const WireFrame& frame = unsent_.front();
    const std::size_t count = frame.pieces_from(sent_of_first_, pieces);
    const Result<Transfer> transfer = send_some(socket_.get(), std::span(pieces).first(count), {});
    if (!transfer.ok()) return end();
    if (transfer->state != TransferState::kDone) return;
    sent_of_first_ += transfer->bytes;
    if (sent_of_first_ < frame.size()) continue;
    unsent_.pop_front();
    sent_of_first_ = 0;
  }
}

}  // namespace luna::worker
