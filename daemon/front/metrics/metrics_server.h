#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/types/info.h"

namespace luna::front {

/// Answers HTTP GET /metrics in Prometheus's text format. It keeps no numbers of its own: each
/// scrape asks for the status anew. Two threads serve; a request has ten seconds.
class MetricsServer {
 public:
  /// FrontCore::status. Called from the server's threads until the server is destroyed.
  using StatusSource = std::function<StatusInfo()>;

  /// `listen`: "HOST:PORT", port 0 for a free one; else INVALID_ARGUMENT. FAILED_PRECONDITION when
  /// the address cannot be had.
  static Result<std::unique_ptr<MetricsServer>> start(const std::string& listen,
                                                      StatusSource status);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const;

 private:
  struct Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace luna::front
