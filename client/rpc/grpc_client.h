#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/service/admin_service.h"
#include "client/service/inference_service.h"
#include "common/base/unique_fd.h"

namespace luna::client {

struct ConnectOptions {
  std::string address;  ///< "unix:/path" or "host:port"
  std::string client_name = "libluna";
  std::chrono::milliseconds timeout{5000};
  /// How tensors travel: "" as $LUNA_PLANE says, and without it as well as can be; "inline" inside
  /// the messages; "shm" through shared memory, or connect() fails with the reason.
  std::string plane = {};
};

/// Both ports over gRPC, with one session stream that lives as long as this object: its end frees
/// what the client owned on the server.
class GrpcClient : public InferenceService, public AdminService {
 public:
  /// Connects and opens the session. UNAVAILABLE names the address and what to do.
  static Result<std::unique_ptr<GrpcClient>> connect(const ConnectOptions& options);
  virtual const std::string& session_id() const = 0;
  /// How tensors travel: "shm" or "inline".
  virtual std::string plane() const = 0;
  /// Why it is not "shm"; empty when it is.
  virtual std::string why_inline() const = 0;
  /// A step socket for whoever evaluates on a thread of its own (StepSocket); denoise() has its own
  /// ones. UNAVAILABLE without shared memory, or while no worker is free.
  virtual Result<UniqueFd> open_steps(const std::string& workflow_id,
                                      const std::vector<std::string>& lora_files) = 0;
};

}  // namespace luna::client
