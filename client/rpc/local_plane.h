#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/deadline.h"
#include "common/local/frame_channel.h"
#include "luna/v1/local.pb.h"

namespace luna::client {

/// The client's end of a session's local socket (proto/luna/v1/local.proto): passes descriptors to
/// the daemon and takes the results'. Thread-safe; each call is one exchange of some 50
/// microseconds. After a failure of the socket every further call answers UNAVAILABLE.
class LocalPlane {
 public:
  /// Connects, and has both sides read the other's number through a mapping.
  static Result<std::unique_ptr<LocalPlane>> attach(const std::string& path,
                                                    const std::string& token, Deadline deadline);

  bool alive() const { return alive_; }
  /// Registers all memory behind the descriptor of `memory`; the region's id.
  Result<std::string> register_region(const BytesPtr& memory);
  Status release(const std::vector<std::string>& region_ids);
  /// A result's memory, all that lies behind its descriptor.
  Result<BytesPtr> take(const std::string& region_id);
  /// A connected socket to a worker, for StepSocket.
  Result<UniqueFd> open_steps(const std::string& workflow,
                              const std::vector<std::string>& lora_files);

 private:
  struct Answer {
    v1::LocalResponse response;
    std::vector<UniqueFd> descriptors;
  };
  LocalPlane(FrameChannel channel) : channel_(std::move(channel)) {}
  Status introduce(const std::string& token, Deadline deadline);
  Result<Answer> ask(const v1::LocalRequest& request, BytesPtr descriptor, Deadline deadline);
  Result<Answer> exchange(const v1::LocalRequest& request, BytesPtr descriptor, Deadline deadline);

  std::mutex mutex_;
  FrameChannel channel_;
  std::atomic<bool> alive_ = true;
};

}  // namespace luna::client
