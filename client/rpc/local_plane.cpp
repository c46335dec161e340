#include "client/rpc/local_plane.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "common/local/memory.h"
#include "common/local/socket.h"
#include "common/wire/status_mapping.h"

namespace luna::client {
namespace {

constexpr std::uint16_t kVersion = 1;
constexpr std::uint16_t kRequest = 1, kResponse = 2;
constexpr std::size_t kNonceBytes = 16;
/// An exchange takes microseconds; a daemon that does not answer for so long hangs.
constexpr std::chrono::seconds kPatience{30};

Result<UniqueFd> only(std::vector<UniqueFd>& descriptors) {
  if (descriptors.size() == 1) return std::move(descriptors.front());
  return error(StatusCode::kInternal, "lunad answered with {} descriptors; one was expected",
               descriptors.size());
}

}  // namespace

Result<std::unique_ptr<LocalPlane>> LocalPlane::attach(const std::string& path,
                                                       const std::string& token,
                                                       Deadline deadline) {
  LUNA_ASSIGN_OR_RETURN(UniqueFd socket, connect_unix(path));
  std::unique_ptr<LocalPlane> plane(new LocalPlane(FrameChannel(std::move(socket), kVersion)));
  LUNA_RETURN_IF_ERROR(plane->introduce(token, deadline));
  return plane;
}

Status LocalPlane::introduce(const std::string& token, Deadline deadline) {
  std::array<std::byte, kNonceBytes> nonce;
  std::random_device entropy;
  for (std::byte& byte : nonce) byte = static_cast<std::byte>(entropy());
  LUNA_ASSIGN_OR_RETURN(MemoryRegion ours, MemoryRegion::create("luna-nonce", kNonceBytes));
  std::ranges::copy(nonce, ours.bytes().begin());
  LUNA_ASSIGN_OR_RETURN(BytesPtr sealed, std::move(ours).finish());

  v1::LocalRequest request;
  request.mutable_attach()->set_token(token);
  LUNA_ASSIGN_OR_RETURN(Answer attached, ask(request, std::move(sealed), deadline));
  const std::string& read = attached.response.attached().nonce();
  if (!std::ranges::equal(std::as_bytes(std::span(read)), nonce)) {
    return error(StatusCode::kFailedPrecondition,
                 "the daemon read another number than this client wrote: they share no memory");
  }
  LUNA_ASSIGN_OR_RETURN(UniqueFd fd, only(attached.descriptors));
  LUNA_ASSIGN_OR_RETURN(const BytesPtr theirs, map_received(std::move(fd)));
  if (theirs->view().size() < kNonceBytes) {
    return error(StatusCode::kInternal, "lunad's number has {} bytes; {} were expected",
                 theirs->view().size(), kNonceBytes);
  }
  request.mutable_prove()->set_nonce(theirs->view().data(), kNonceBytes);
  return ask(request, nullptr, deadline).status();
}

Result<LocalPlane::Answer> LocalPlane::ask(const v1::LocalRequest& request, BytesPtr descriptor,
                                           Deadline deadline) {
  std::lock_guard lock(mutex_);
  if (!alive_) {
    return error(StatusCode::kUnavailable, "the local socket to lunad has ended; connect again");
  }
  auto answer = exchange(request, std::move(descriptor), deadline);
  if (!answer.ok()) {
    // What comes now may be the answer to this one: nothing can be told apart any more.
    alive_ = false;
    return answer.status().with_context("lunad's local socket");
  }
  const v1::LocalResponse& response = answer->response;
  if (response.code() == 0) return answer;
  return Status(wire::status_code_of_grpc(static_cast<int>(response.code())), response.message());
}

Result<LocalPlane::Answer> LocalPlane::exchange(const v1::LocalRequest& request,
                                                BytesPtr descriptor, Deadline deadline) {
  std::vector<BytesPtr> attachments;
  if (descriptor) attachments.push_back(std::move(descriptor));
  LUNA_RETURN_IF_ERROR(
      channel_.send(kRequest, request.SerializeAsString(), std::move(attachments), deadline));
  LUNA_ASSIGN_OR_RETURN(Frame frame, channel_.receive(deadline));
  Answer answer;
  if (frame.message != kResponse || !answer.response.ParseFromString(frame.body)) {
    return error(StatusCode::kInternal, "expected a LocalResponse, found message {} of {} bytes",
                 frame.message, frame.body.size());
  }
  answer.descriptors = std::move(frame.descriptors);
  return answer;
}

Result<std::string> LocalPlane::register_region(const BytesPtr& memory) {
  v1::LocalRequest request;
  request.mutable_register_region()->set_bytes(memory->fd_offset() + memory->view().size());
  LUNA_ASSIGN_OR_RETURN(Answer answer, ask(request, memory, Deadline::after(kPatience)));
  return answer.response.region_registered().region_id();
}

Status LocalPlane::release(const std::vector<std::string>& region_ids) {
  v1::LocalRequest request;
  request.mutable_release_regions()->mutable_region_ids()->Add(region_ids.begin(),
                                                               region_ids.end());
  return ask(request, nullptr, Deadline::after(kPatience)).status();
}

Result<BytesPtr> LocalPlane::take(const std::string& region_id) {
  v1::LocalRequest request;
  request.mutable_take_region()->set_region_id(region_id);
  LUNA_ASSIGN_OR_RETURN(Answer answer, ask(request, nullptr, Deadline::after(kPatience)));
  LUNA_ASSIGN_OR_RETURN(UniqueFd fd, only(answer.descriptors));
  return map_received(std::move(fd));
}

Result<UniqueFd> LocalPlane::open_steps(const std::string& workflow,
                                        const std::vector<std::string>& lora_files) {
  v1::LocalRequest request;
  request.mutable_open_steps()->set_workflow_id(workflow);
  request.mutable_open_steps()->mutable_lora_files()->Add(lora_files.begin(), lora_files.end());
  LUNA_ASSIGN_OR_RETURN(Answer answer, ask(request, nullptr, Deadline::after(kPatience)));
  return only(answer.descriptors);
}

}  // namespace luna::client
