#include "client/rpc/step_socket.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include <sys/socket.h>

#include "common/local/memory.h"
#include "common/types/request_tensors.h"
#include "common/wire/sampling_wire.h"
#include "common/wire/status_mapping.h"

namespace luna::client {
namespace {

constexpr std::uint16_t kVersion = 1;
constexpr std::uint16_t kRequest = 1, kResponse = 2;
constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kSmallestMemory = 64 * 1024;

std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

StepSocket::StepSocket(UniqueFd socket) : channel_(std::move(socket), kVersion) {}

void StepSocket::stop() {
  alive_ = false;
  ::shutdown(channel_.fd(), SHUT_RDWR);
}

Result<v1::LocalResponse*> StepSocket::exchange(BytesPtr descriptor, Deadline deadline) {
  std::vector<BytesPtr> attachments;
  if (descriptor) attachments.push_back(std::move(descriptor));
  const auto talk = [&]() -> Status {
    LUNA_RETURN_IF_ERROR(
        channel_.send(kRequest, request_.SerializeAsString(), std::move(attachments), deadline));
    LUNA_ASSIGN_OR_RETURN(const Frame frame, channel_.receive(deadline));
    if (frame.message == kResponse && response_.ParseFromString(frame.body)) return {};
    return error(StatusCode::kInternal, "expected a LocalResponse, found message {} of {} bytes",
                 frame.message, frame.body.size());
  };
  if (const Status talked = talk(); !talked.ok()) {
    // What comes now may be the answer to this one: nothing can be told apart any more.
    stop();
    return talked.with_context("the step socket");
  }
  if (response_.code() == 0) return &response_;
  return Status(wire::status_code_of_grpc(static_cast<int>(response_.code())), response_.message());
}

Result<std::string> StepSocket::register_memory(BytesPtr memory, Deadline deadline) {
  request_.Clear();
  request_.mutable_register_region()->set_bytes(memory->view().size());
  LUNA_ASSIGN_OR_RETURN(v1::LocalResponse* const answer, exchange(std::move(memory), deadline));
  return std::move(*answer->mutable_region_registered()->mutable_region_id());
}

Status StepSocket::release(const std::string& region, Deadline deadline) {
  request_.Clear();
  request_.mutable_release_regions()->add_region_ids(region);
  return exchange(nullptr, deadline).status();
}

Status StepSocket::drop_gone_constants(Deadline deadline) {
  for (auto it = constants_.begin(); it != constants_.end();) {
    if (!it->second.bytes.expired()) {
      ++it;
      continue;
    }
    if (!it->second.region.empty()) LUNA_RETURN_IF_ERROR(release(it->second.region, deadline));
    it = constants_.erase(it);
  }
  return {};
}

Result<std::string> StepSocket::constant_of(const BytesPtr& bytes, Deadline deadline) {
  auto known = constants_.find(bytes.get());
  if (known != constants_.end() && known->second.bytes.lock() != bytes) {
    LUNA_RETURN_IF_ERROR(drop_gone_constants(deadline));
    known = constants_.end();
  }
  if (known == constants_.end()) {
    if (constants_.size() >= kMostConstants) LUNA_RETURN_IF_ERROR(drop_gone_constants(deadline));
    if (constants_.size() < kMostConstants) constants_.emplace(bytes.get(), Constant{bytes, ""});
    return std::string();
  }
  if (known->second.region.empty()) {
    const auto view = bytes->view();
    LUNA_ASSIGN_OR_RETURN(MemoryRegion region, MemoryRegion::create("luna-step", view.size()));
    std::memcpy(region.bytes().data(), view.data(), view.size());
    LUNA_ASSIGN_OR_RETURN(BytesPtr sealed, std::move(region).finish());
    LUNA_ASSIGN_OR_RETURN(known->second.region, register_memory(std::move(sealed), deadline));
  }
  return known->second.region;
}

Status StepSocket::make_room(std::uint64_t bytes, Deadline deadline) {
  if (writable_.size() >= bytes) return {};
  if (!region_.empty()) LUNA_RETURN_IF_ERROR(release(std::exchange(region_, ""), deadline));
  writable_ = {};
  LUNA_ASSIGN_OR_RETURN(
      MemoryRegion region,
      MemoryRegion::create("luna-step", std::bit_ceil(std::max(bytes, kSmallestMemory))));
  const std::span<std::byte> writable = region.bytes();
  memory_ = std::move(region).share();
  LUNA_ASSIGN_OR_RETURN(region_, register_memory(memory_, deadline));
  writable_ = writable;
  return {};
}

Status StepSocket::place(JobRequest& job, std::vector<std::uint64_t>& results, Deadline deadline) {
  std::vector<Placed> placed;
  std::uint64_t end = 0;
  const auto reserve = [&](std::uint64_t bytes) {
    return std::exchange(end, aligned(end + bytes));
  };
  const auto visit = [&](TensorRef& tensor, const std::string& name) -> Status {
    const BytesPtr bytes = tensor.host_bytes();
    if (!bytes || bytes->view().empty()) return {};
    const bool latent = name.ends_with("].x");
    if (!latent) {
      LUNA_ASSIGN_OR_RETURN(std::string region, constant_of(bytes, deadline));
      if (!region.empty()) {
        tensor.place = SharedRegion{std::move(region), 0};
        return {};
      }
    }
    placed.push_back({&tensor, reserve(bytes->view().size())});
    return {};
  };
  LUNA_RETURN_IF_ERROR(for_each_tensor(job, visit));
  for (const DenoiseRow& row : std::get<DenoiseRequest>(job).rows)
    results.push_back(reserve(TensorSpec{DType::kF32, row.x.spec.shape}.byte_size()));
  LUNA_RETURN_IF_ERROR(make_room(end, deadline));
  for (const Placed& one : placed) {
    const BytesPtr bytes = one.tensor->host_bytes();
    std::memcpy(writable_.data() + one.offset, bytes->view().data(), bytes->view().size());
    one.tensor->place = SharedRegion{region_, one.offset};
  }
  return {};
}

Status StepSocket::take_results(const std::vector<std::uint64_t>& results,
                                DenoiseReply& reply) const {
  if (reply.denoised.size() != results.size()) {
    return error(StatusCode::kInternal, "expected {} results, found {}", results.size(),
                 reply.denoised.size());
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::size_t size = reply.denoised[i].spec.byte_size();
    if (results[i] > writable_.size() || size > writable_.size() - results[i]) {
      return error(StatusCode::kInternal, "denoised[{}]: {} has no room where it was to be", i,
                   reply.denoised[i].spec.to_string());
    }
    reply.denoised[i].place = bytes_copy_of(writable_.subspan(results[i], size));
  }
  return {};
}

Result<DenoiseReply> StepSocket::denoise(DenoiseRequest request, Priority priority,
                                         Deadline deadline) {
  JobRequest job(std::move(request));
  std::vector<std::uint64_t> results;
  LUNA_RETURN_IF_ERROR(place(job, results, deadline));
  request_.Clear();
  v1::DenoiseStep& step = *request_.mutable_denoise();
  wire::to_wire(std::get<DenoiseRequest>(job), step.mutable_request());
  for (const std::uint64_t offset : results) {
    v1::SharedRegion* into = step.add_into();
    into->set_region_id(region_);
    into->set_offset(offset);
  }
  step.set_priority(std::string(priority_name(priority)));
  if (!deadline.infinite()) {
    const auto left = std::chrono::ceil<std::chrono::microseconds>(deadline.left()).count();
    step.set_timeout_us(static_cast<std::uint64_t>(std::max<decltype(left)>(left, 1)));
  }
  LUNA_ASSIGN_OR_RETURN(v1::LocalResponse* const answer, exchange(nullptr, deadline));
  Result<DenoiseReply> reply = wire::from_wire(*answer->mutable_denoised());
  if (!reply.ok()) return reply.status().with_context("the worker's reply");
  LUNA_RETURN_IF_ERROR(take_results(results, *reply));
  return reply;
}

}  // namespace luna::client
