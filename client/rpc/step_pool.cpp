#include "client/rpc/step_pool.h"

#include <algorithm>
#include <utility>

#include "common/log/log.h"
#include "common/types/request_tensors.h"

namespace luna::client {
namespace {

constexpr int kAttempts = 2;
constexpr std::size_t kMostBytes = std::size_t{256} << 20;

}  // namespace

bool StepPool::takes(const DenoiseRequest& request) {
  if (request.keep || request.rows.empty()) return false;
  std::size_t bytes = 0;
  const JobRequest job(request);
  return for_each_tensor(job,
                         [&](const TensorRef& tensor, const std::string& name) -> Status {
                           LUNA_RETURN_IF_ERROR(tensor.validate(name));
                           const bool here = tensor.host_bytes() != nullptr ||
                                             std::holds_alternative<std::monostate>(tensor.place);
                           bytes += here ? tensor.spec.byte_size() : kMostBytes;
                           return bytes < kMostBytes ? Status()
                                                     : Status(StatusCode::kFailedPrecondition,
                                                              "not over a socket");
                         })
      .ok();
}

std::optional<StepPool::Entry> StepPool::take(const std::string& workflow,
                                              const std::set<std::string>& lora_files) {
  std::set<std::string> wanted = lora_files;
  std::optional<Entry> surplus;
  {
    std::lock_guard lock(mutex_);
    const auto pause = paused_.find(workflow);
    if (pause != paused_.end()) {
      if (!pause->second.expired()) return std::nullopt;
      paused_.erase(pause);
    }
    const auto fits = std::ranges::find_if(idle_, [&](const Entry& entry) {
      return entry.workflow == workflow && std::ranges::includes(entry.lora_files, lora_files);
    });
    if (fits != idle_.end()) {
      Entry entry = std::move(*fits);
      idle_.erase(fits);
      return entry;
    }
    // One of the workflow that lacks a file makes place for one that has all.
    const auto lacking = std::ranges::find(idle_, workflow, &Entry::workflow);
    if (lacking != idle_.end() || (open_sockets_ >= kMostSockets && !idle_.empty())) {
      const auto leaves = lacking != idle_.end() ? lacking : idle_.begin();
      surplus = std::move(*leaves);
      idle_.erase(leaves);
      if (surplus->workflow == workflow) wanted.merge(std::set(surplus->lora_files));
      --open_sockets_;
    }
    if (open_sockets_ >= kMostSockets) return std::nullopt;
    ++open_sockets_;
  }
  surplus.reset();
  Result<UniqueFd> socket = open_(workflow, {wanted.begin(), wanted.end()});
  if (socket.ok()) {
    return Entry{workflow, std::move(wanted),
                 std::make_shared<StepSocket>(std::move(socket).value())};
  }
  log::logger("rpc").debug("no step socket for workflow '{}': {}", workflow,
                           socket.status().to_string());
  std::lock_guard lock(mutex_);
  --open_sockets_;
  paused_[workflow] = Deadline::after(kPause);
  return std::nullopt;
}

void StepPool::put_back(Entry entry) {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(entry));
}

void StepPool::forget() {
  std::lock_guard lock(mutex_);
  --open_sockets_;
}

std::optional<Result<DenoiseReply>> StepPool::evaluate(const CallOptions& options,
                                                       const DenoiseRequest& request,
                                                       CallState& call) {
  std::set<std::string> lora_files;
  for (const DenoiseRow& row : request.rows)
    for (const LoraRef& lora : row.loras) lora_files.insert(lora.path);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::optional<Entry> entry = take(options.workflow_id, lora_files);
    if (!entry) return std::nullopt;
    call.attach([socket = entry->socket] { socket->stop(); });
    Result<DenoiseReply> reply =
        entry->socket->denoise(request, options.priority, options.deadline);
    call.detach();
    const bool usable = entry->socket->alive();
    usable ? put_back(*std::move(entry)) : forget();
    if (reply.ok()) return reply;
    if (call.cancelled()) return Status(StatusCode::kCancelled, "the call was cancelled");
    if (reply.status().code() == StatusCode::kDeadlineExceeded) return reply;
    // A worker that goes says UNAVAILABLE, or nothing.
    if (usable && reply.status().code() != StatusCode::kUnavailable) return reply;
  }
  return std::nullopt;
}

}  // namespace luna::client
