#include "daemon/front/metrics/metrics_server.h"

#include <charconv>
#include <exception>
#include <utility>

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include "daemon/front/metrics/status_metrics.h"

namespace luna::front {
namespace {

constexpr int kMaxPort = 65535;

class StatusCollectable final : public prometheus::Collectable {
 public:
  explicit StatusCollectable(MetricsServer::StatusSource status) : status_(std::move(status)) {}
  std::vector<prometheus::MetricFamily> Collect() const override { return metrics_of(status_()); }

 private:
  MetricsServer::StatusSource status_;
};

/// The HTTP server would also take lists of ports and letters behind them; "HOST:PORT" is all that
/// is promised.
Status check_listen(const std::string& listen) {
  const std::size_t colon = listen.rfind(':');
  const std::string_view text = listen;
  const std::string_view host = text.substr(0, colon == std::string::npos ? 0 : colon);
  const std::string_view port = colon == std::string::npos ? "" : text.substr(colon + 1);
  int number = -1;
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool is_number = failure == std::errc() && end == port.data() + port.size() &&
                         number >= 0 && number <= kMaxPort;
  if (is_number && !host.empty() && host.find_first_of(", +") == std::string_view::npos) return {};
  return error(StatusCode::kInvalidArgument,
               "[metrics] listen: expected HOST:PORT such as 127.0.0.1:50552, found '{}'", listen);
}

}  // namespace

struct MetricsServer::Impl {
  Impl(const std::string& listen, StatusSource status)
      : collectable(std::make_shared<StatusCollectable>(std::move(status))),
        exposer(std::vector<std::string>{"listening_ports", listen, "num_threads", "2",
                                         "request_timeout_ms", "10000"}) {
    exposer.RegisterCollectable(collectable);
  }

  std::shared_ptr<StatusCollectable> collectable;
  prometheus::Exposer exposer;
};

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::start(const std::string& listen,
                                                            StatusSource status) {
  LUNA_RETURN_IF_ERROR(check_listen(listen));
  try {
    return std::unique_ptr<MetricsServer>(
        new MetricsServer(std::make_unique<Impl>(listen, std::move(status))));
  } catch (const std::exception&) {  // says no more than that the server did not start
    return error(StatusCode::kFailedPrecondition,
                 "cannot listen on {} ([metrics] listen): is the address taken?", listen);
  }
}

int MetricsServer::port() const {
  const std::vector<int> ports = impl_->exposer.GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace luna::front
