#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/rpc/grpc_client.h"

namespace luna::support {

/// A call's answer that a test waits for.
template <class Reply>
class Answer {
 public:
  client::Done<Reply> done() {
    return [shared = shared_](Result<Reply> result) {
      std::lock_guard lock(shared->mutex);
      shared->result.emplace(std::move(result));
      shared->arrived.notify_all();
    };
  }
  /// The answer, or DEADLINE_EXCEEDED when none came within two minutes: a call must never hang.
  Result<Reply> wait() const {
    std::unique_lock lock(shared_->mutex);
    if (!shared_->arrived.wait_for(lock, std::chrono::minutes(2),
                                   [&] { return shared_->result.has_value(); })) {
      return Status(StatusCode::kDeadlineExceeded, "the test waited two minutes for an answer");
    }
    return *shared_->result;
  }
  bool arrived() const {
    std::lock_guard lock(shared_->mutex);
    return shared_->result.has_value();
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<Result<Reply>> result;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

/// A workflow that was registered under `id`, and short forms of its calls.
class Workflow {
 public:
  Workflow(client::GrpcClient& client, std::string id) : client_(client) {
    options_.workflow_id = std::move(id);
  }

  client::CallOptions& options() { return options_; }
  Result<EncodeTextReply> encode(const std::string& text);
  /// Both signs encoded, one row of an empty latent of `cells` x `cells`. At 8 the lowest level of
  /// the tiny UNet is a single cell, whose norm groups of two values make rounding errors grow
  /// without bound: no size to compare at.
  Result<SampleRequest> request(const std::string& positive, const std::string& negative,
                                std::uint64_t seed, int cells = 16);
  Answer<SampleReply> start(SampleRequest request,
                            std::function<void(const SampleProgress&)> on_progress = nullptr);
  Result<SampleReply> sample(SampleRequest request) { return start(std::move(request)).wait(); }
  Result<VaeDecodeReply> decode(const TensorRef& latents);

 private:
  client::GrpcClient& client_;
  client::CallOptions options_;
};

/// Registers `checkpoint` (and `vae` when named) as workflow `id`; fails the test otherwise.
Workflow register_workflow(client::GrpcClient& client, const std::string& id,
                           const std::string& checkpoint, const std::string& vae = "");

/// ||a - b|| / ||b|| over all rows of two replies.
double relative_error(const SampleReply& a, const SampleReply& b);

}  // namespace luna::support
