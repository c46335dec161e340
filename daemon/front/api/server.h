#pragma once

#include <memory>
#include <string>

#include "daemon/front/core/front_core.h"

namespace luna::front {

/// luna.v1 over gRPC: on a unix socket that only its user can open (0600), and on
/// config.server.listen unless that is empty. Health (grpc.health.v1, for "" and every luna.v1
/// service) is always served, reflection when the configuration says so.
class ApiServer {
 public:
  /// Listens before it returns. ALREADY_EXISTS when another lunad has the socket,
  /// FAILED_PRECONDITION when an address cannot be had. `core` must outlive the server. An empty
  /// path: no unix socket.
  static Result<std::unique_ptr<ApiServer>> start(FrontCore& core, const Config& config,
                                                  const std::string& unix_socket_path);
  /// shutdown() without patience.
  ~ApiServer();

  /// Health says NOT_SERVING, sessions get a goodbye, new work is refused with UNAVAILABLE; running
  /// calls go on, and status, renewals and downloads are served. Returns at once.
  void drain();
  /// drain(), waits for running calls until the deadline, then ends those that are left, and the
  /// sessions.
  void shutdown(Deadline deadline);

  /// The TCP port that is listened on; 0 without one.
  int tcp_port() const;

 private:
  struct Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace luna::front
