#include "daemon/front/local/local_dialogue.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "common/local/descriptors.h"
#include "common/local/memory.h"
#include "common/wire/status_mapping.h"

namespace luna::front {
namespace {

constexpr std::uint64_t kMaxNonceMemory = std::uint64_t{1} << 20;

LocalDialogue::Answer failure(const Status& status) {
  LocalDialogue::Answer answer;
  answer.response.set_code(static_cast<std::uint32_t>(wire::grpc_code(status.code())));
  answer.response.set_message(wire::trailer_message(status.message()));
  return answer;
}

Result<UniqueFd> only(std::vector<UniqueFd> descriptors, std::string_view request) {
  if (descriptors.size() == 1) return std::move(descriptors.front());
  return error(StatusCode::kInvalidArgument, "{} comes with one descriptor, found {}", request,
               descriptors.size());
}

std::string_view name_of(const v1::LocalRequest& request) {
  const auto* field =
      v1::LocalRequest::descriptor()->FindFieldByNumber(static_cast<int>(request.request_case()));
  return field ? field->name() : std::string_view("an empty request");
}

}  // namespace

LocalDialogue::LocalDialogue(PlaneDesk& desk, StepsOpener* steps,
                             std::function<void()> on_session_end)
    : desk_(desk), steps_(steps), on_session_end_(std::move(on_session_end)) {}

LocalDialogue::~LocalDialogue() {
  if (session_.empty()) return;
  desk_.lose(session_, proved() ? "its local socket has ended"
                                : "it came to the local socket and did not prove that it shares "
                                  "memory");
}

void LocalDialogue::hear(Frame frame, const Reply& reply) {
  v1::LocalRequest request;
  if (frame.message != kRequest || !request.ParseFromString(frame.body)) {
    Answer answer = failure(error(StatusCode::kInvalidArgument,
                                  "expected a LocalRequest (message {}), found message {} of {} "
                                  "bytes that is none",
                                  kRequest, frame.message, frame.body.size()));
    answer.last = true;
    return reply(std::move(answer));
  }
  if (proved() && request.has_open_steps() && frame.descriptors.empty()) {
    return open_steps(request.open_steps(), reply);
  }
  auto answered = answer(request, std::move(frame.descriptors));
  if (answered.ok()) return reply(*std::move(answered));
  Answer refusal = failure(answered.status());
  refusal.last = !proved();
  reply(std::move(refusal));
}

Result<LocalDialogue::Answer> LocalDialogue::answer(const v1::LocalRequest& request,
                                                    Descriptors descriptors) {
  const bool expected = stage_ == Stage::kStranger   ? request.has_attach()
                        : stage_ == Stage::kAttached ? request.has_prove()
                                                     : true;
  if (!expected) {
    return error(StatusCode::kFailedPrecondition, "expected {} first, found {}",
                 stage_ == Stage::kStranger ? "attach" : "prove", name_of(request));
  }
  if (request.has_attach() && stage_ == Stage::kStranger) {
    return attach(request.attach(), std::move(descriptors));
  }
  if (request.has_register_region()) {
    return register_region(request.register_region(), std::move(descriptors));
  }
  if (!descriptors.empty()) {
    return error(StatusCode::kInvalidArgument, "{} comes without descriptors, found {}",
                 name_of(request), descriptors.size());
  }
  switch (request.request_case()) {
    case v1::LocalRequest::kProve:
      if (stage_ == Stage::kAttached) return prove(request.prove());
      break;
    case v1::LocalRequest::kCreateRegion:
      return create_region(request.create_region());
    case v1::LocalRequest::kReleaseRegions:
      return release_regions(request.release_regions());
    case v1::LocalRequest::kTakeRegion:
      return take_region(request.take_region());
    default:
      break;
  }
  return error(StatusCode::kFailedPrecondition, "{} has no place on a session's socket now",
               name_of(request));
}

Result<LocalDialogue::Answer> LocalDialogue::attach(const v1::Attach& request,
                                                    Descriptors descriptors) {
  // The token first: whoever has none learns nothing else.
  LUNA_ASSIGN_OR_RETURN(session_, desk_.claim(request.token(), on_session_end_));
  LUNA_ASSIGN_OR_RETURN(UniqueFd fd, only(std::move(descriptors), "attach"));
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t size, received_size(fd.get()));
  if (size < kNonceBytes || size > kMaxNonceMemory) {
    return error(StatusCode::kInvalidArgument,
                 "attach comes with memory of {} to {} bytes, found {}", kNonceBytes,
                 kMaxNonceMemory, size);
  }
  LUNA_ASSIGN_OR_RETURN(const BytesPtr theirs, map_received(std::move(fd)));
  std::random_device entropy;
  for (std::byte& byte : nonce_) byte = static_cast<std::byte>(entropy());
  LUNA_ASSIGN_OR_RETURN(MemoryRegion ours, MemoryRegion::create("luna-nonce", kNonceBytes));
  std::ranges::copy(nonce_, ours.bytes().begin());
  LUNA_ASSIGN_OR_RETURN(BytesPtr sealed, std::move(ours).finish());
  stage_ = Stage::kAttached;
  Answer answer;
  answer.response.mutable_attached()->set_nonce(theirs->view().data(), kNonceBytes);
  answer.attachments.push_back(std::move(sealed));
  return answer;
}

Result<LocalDialogue::Answer> LocalDialogue::prove(const v1::Prove& request) {
  const auto read = std::as_bytes(std::span(request.nonce()));
  if (!std::ranges::equal(read, nonce_)) {
    return error(StatusCode::kFailedPrecondition,
                 "the client read another number than the daemon wrote: they share no memory");
  }
  LUNA_RETURN_IF_ERROR(desk_.prove(session_));
  stage_ = Stage::kProved;
  Answer answer;
  answer.response.mutable_proved();
  for (std::string& plane : desk_.planes(session_)) {
    answer.response.mutable_proved()->add_planes(std::move(plane));
  }
  return answer;
}

Result<LocalDialogue::Answer> LocalDialogue::register_region(const v1::RegisterRegion& request,
                                                             Descriptors descriptors) {
  LUNA_ASSIGN_OR_RETURN(UniqueFd fd, only(std::move(descriptors), "register_region"));
  if (!request.device_uuid().empty()) {
    return error(StatusCode::kUnimplemented,
                 "memory of the GPU {}: only host memory is registered by this version",
                 wire::trailer_message(request.device_uuid(), 64));
  }
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t size, received_size(fd.get()));
  if (request.bytes() == 0 || size < request.bytes()) {
    return error(StatusCode::kInvalidArgument,
                 "register_region: {} bytes were announced, the descriptor has {}", request.bytes(),
                 size);
  }
  // Before it is mapped: address space is finite too.
  LUNA_RETURN_IF_ERROR(desk_.check_room(session_, size));
  LUNA_ASSIGN_OR_RETURN(BytesPtr memory, map_received(std::move(fd)));
  Answer answer;
  LUNA_ASSIGN_OR_RETURN(*answer.response.mutable_region_registered()->mutable_region_id(),
                        desk_.add(session_, std::move(memory)));
  return answer;
}

Result<LocalDialogue::Answer> LocalDialogue::create_region(const v1::CreateRegion& request) {
  if (request.bytes() == 0) {
    return error(StatusCode::kInvalidArgument, "create_region: a region has at least one byte");
  }
  LUNA_RETURN_IF_ERROR(desk_.check_room(session_, request.bytes()));
  LUNA_ASSIGN_OR_RETURN(MemoryRegion region, MemoryRegion::create("luna-region", request.bytes()));
  const BytesPtr memory = std::move(region).share();
  Answer answer;
  LUNA_ASSIGN_OR_RETURN(*answer.response.mutable_region_created()->mutable_region_id(),
                        desk_.add(session_, memory));
  answer.attachments.push_back(memory);
  return answer;
}

Result<LocalDialogue::Answer> LocalDialogue::release_regions(const v1::ReleaseRegions& request) {
  LUNA_ASSIGN_OR_RETURN(
      const std::uint64_t freed,
      desk_.release(session_, {request.region_ids().begin(), request.region_ids().end()}));
  Answer answer;
  answer.response.mutable_regions_released()->set_freed_bytes(freed);
  return answer;
}

Result<LocalDialogue::Answer> LocalDialogue::take_region(const v1::TakeRegion& request) {
  LUNA_ASSIGN_OR_RETURN(BytesPtr memory, desk_.take(session_, request.region_id()));
  Answer answer;
  answer.response.mutable_region_taken()->set_bytes(memory->fd_offset() + memory->view().size());
  answer.attachments.push_back(std::move(memory));
  return answer;
}

void LocalDialogue::open_steps(const v1::OpenSteps& request, const Reply& reply) {
  if (!steps_) {
    return reply(
        failure(error(StatusCode::kUnimplemented,
                      "open_steps is not served by this version; call Primitives.Denoise")));
  }
  steps_->open_steps(session_, request.workflow_id(),
                     {request.lora_files().begin(), request.lora_files().end()},
                     [reply](Result<UniqueFd> socket) {
                       if (!socket.ok()) return reply(failure(socket.status()));
                       Answer answer;
                       answer.response.mutable_steps_opened();
                       answer.attachments.push_back(descriptor_alone(*std::move(socket)));
                       reply(std::move(answer));
                     });
}

}  // namespace luna::front
