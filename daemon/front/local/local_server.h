#pragma once

#include <memory>
#include <string>

#include "common/config/config.h"
#include "daemon/front/core/front_core.h"
#include "daemon/front/local/steps_opener.h"

namespace luna::front {

/// The local socket of a daemon, over which sessions pass descriptors. It has a thread of its own,
/// so that neither gRPC nor the workers wait for what a client does there. Who is neither this
/// user nor root is turned away; who has not proved within kIntroductionTime that it shares memory
/// with a session, too.
class LocalServer {
 public:
  static constexpr std::chrono::seconds kIntroductionTime{10};
  /// Connections beyond one a session that may still be introducing themselves.
  static constexpr std::size_t kMaxStrangers = 64;

  /// Where it listens when gRPC listens on `unix_socket`: beside it.
  static std::string path_beside(const std::string& unix_socket) { return unix_socket + ".local"; }

  struct Options {
    std::string path;
    std::uint32_t max_sessions = 1024;
    StepsOpener* steps = nullptr;  ///< outlives the server
    std::chrono::milliseconds introduction_time = kIntroductionTime;
  };
  /// Listens (mode 0600) before it returns, and tells the core's sessions. Errors as listen_unix().
  /// `core` must outlive the server.
  static Result<std::unique_ptr<LocalServer>> start(FrontCore& core, const Options& options);
  /// Ends all connections and removes the socket.
  ~LocalServer();

 private:
  class Impl;
  explicit LocalServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace luna::front
