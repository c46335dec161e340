#pragma once

#include <memory>
#include <string>

#include "client/service/admin_service.h"
#include "client/service/inference_service.h"

namespace luna::client {

struct ConnectOptions {
  std::string address;  ///< "unix:/path" or "host:port"
  std::string client_name = "libluna";
  std::chrono::milliseconds timeout{5000};
};

/// Both ports over gRPC, with one session stream that lives as long as this object: its end frees
/// what the client owned on the server.
class GrpcClient : public InferenceService, public AdminService {
 public:
  /// Connects and opens the session. UNAVAILABLE names the address and what to do.
  static Result<std::unique_ptr<GrpcClient>> connect(const ConnectOptions& options);
  virtual const std::string& session_id() const = 0;
};

}  // namespace luna::client
