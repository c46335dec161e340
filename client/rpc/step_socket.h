#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/local/frame_channel.h"
#include "common/types/job.h"
#include "luna/v1/local.pb.h"

namespace luna::client {

/// The client's end of a step socket: single evaluations by a worker, without the front in between.
/// For one thread at a time, except stop(). The latents go through memory that is written anew at
/// every step; bytes that are named a second time (conditioning) get sealed memory of their own,
/// which the worker need not look at again.
class StepSocket {
 public:
  explicit StepSocket(UniqueFd socket);

  /// As Primitives.Denoise; tensors of the request have their bytes (or none: zeros), and so have
  /// those of the reply. Blocks until `deadline` at the latest. Where the socket is alive() after a
  /// failure, the worker said so.
  Result<DenoiseReply> denoise(DenoiseRequest request, Priority priority, Deadline deadline);
  bool alive() const { return alive_; }
  /// Ends the socket and the evaluation that runs, from any thread.
  void stop();

 private:
  static constexpr std::size_t kMostConstants = 64;

  struct Constant {
    std::weak_ptr<const Bytes> bytes;  ///< the caller's; empty: seen once, and not sealed yet
    std::string region;
  };
  /// Where a tensor of the request that is being made lies in the memory of the step.
  struct Placed {
    TensorRef* tensor;
    std::uint64_t offset;
  };

  Result<v1::LocalResponse*> exchange(BytesPtr descriptor, Deadline deadline);
  Result<std::string> register_memory(BytesPtr memory, Deadline deadline);
  Status release(const std::string& region, Deadline deadline);
  /// The region of bytes that came before; "" for those that go with the step.
  Result<std::string> constant_of(const BytesPtr& bytes, Deadline deadline);
  Status drop_gone_constants(Deadline deadline);
  Status make_room(std::uint64_t bytes, Deadline deadline);
  Status place(JobRequest& job, std::vector<std::uint64_t>& results, Deadline deadline);
  Status take_results(const std::vector<std::uint64_t>& results, DenoiseReply& reply) const;

  FrameChannel channel_;
  std::atomic<bool> alive_ = true;
  v1::LocalRequest request_;
  v1::LocalResponse response_;
  BytesPtr memory_;  ///< of the step
  std::span<std::byte> writable_;
  std::string region_;
  std::map<const Bytes*, Constant> constants_;
};

}  // namespace luna::client
