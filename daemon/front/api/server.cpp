#include "daemon/front/api/server.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <mutex>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/front/api/adapters_service.h"
#include "daemon/front/api/primitives_service.h"
#include "daemon/front/api/registry_services.h"
#include "daemon/front/api/sessions_service.h"
#include "daemon/front/api/tensors_service.h"
#include "daemon/front/api/unix_listener.h"

namespace luna::front {
namespace {

constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kMinClientPingMs = 10'000;
constexpr std::chrono::milliseconds kEndGrace{500};

/// Turns reflection on or off for one server. Linking the reflection library alone turns it on for
/// every server of the process, so "off" has to take it away again.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  explicit ReflectionOption(bool wanted) : wanted_(wanted) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto reflection = std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    std::erase_if(*plugins,
                  [&](const auto& plugin) { return plugin->name() == reflection->name(); });
    if (wanted_) plugins->push_back(std::move(reflection));
  }

 private:
  bool wanted_;
};

int as_int(std::uint64_t value) {
  return static_cast<int>(std::min<std::uint64_t>(value, std::numeric_limits<int>::max()));
}

void set_limits(grpc::ServerBuilder& builder, const Config::Limits& limits) {
  builder.SetMaxReceiveMessageSize(as_int(limits.message_bytes));
  // Replies are measured before they are written (check_inline_size), with room for what surrounds
  // tensors.
  builder.SetMaxSendMessageSize(std::numeric_limits<int>::max());
  // More than the queue takes, so that a full queue is a refusal with a sentence and not a silent
  // wait.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             as_int(2ull * limits.queue_total + 64));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinClientPingMs);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

struct ApiServer::Impl {
  Impl(FrontCore& core, const Config& config)
      : api{core, gate, config.limits},
        primitives(api),
        models(api),
        adapters(api),
        workflows(api),
        tensors(api),
        status(api),
        sessions(api) {}

  std::vector<grpc::Service*> services() {
    return {&primitives, &models, &adapters, &workflows, &tensors, &status, &sessions};
  }

  Status listen(const Config& config, const std::string& path);
  void set_serving(bool serving);

  Gate gate;
  ApiContext api;
  PrimitivesService primitives;
  ModelsService models;
  AdaptersService adapters;
  WorkflowsService workflows;
  TensorsService tensors;
  StatusService status;
  SessionsService sessions;
  std::unique_ptr<grpc::Server> server;
  std::string socket_path;
  int port = 0;
  std::once_flag drained;
  std::once_flag ended;
};

Status ApiServer::Impl::listen(const Config& config, const std::string& path) {
  if (path.empty() && config.server.listen.empty()) {
    return error(StatusCode::kInvalidArgument, "neither a unix socket nor server.listen is given");
  }
  if (!path.empty()) LUNA_RETURN_IF_ERROR(prepare_socket_path(path));

  static std::once_flag health;
  std::call_once(health, [] { grpc::EnableDefaultHealthCheckService(true); });
  grpc::ServerBuilder builder;
  builder.SetOption(std::make_unique<ReflectionOption>(config.server.reflection));
  set_limits(builder, config.limits);
  for (grpc::Service* service : services()) builder.RegisterService(service);
  int unix_bound = 1;
  if (!path.empty()) {
    builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials(), &unix_bound);
  }
  if (!config.server.listen.empty()) {
    builder.AddListeningPort(config.server.listen, grpc::InsecureServerCredentials(), &port);
  }
  {
    const PrivateFiles only_ours;
    server = builder.BuildAndStart();
  }
  if (!server) {
    const bool unix_failed = !path.empty() && unix_bound == 0;
    return error(StatusCode::kFailedPrecondition, "cannot listen on {}: is the address taken?",
                 unix_failed ? path : config.server.listen);
  }
  if (!path.empty()) {
    socket_path = path;
    if (::chmod(path.c_str(), 0600) != 0) {
      return error(StatusCode::kFailedPrecondition, "cannot make {} private", path);
    }
  }
  set_serving(true);
  return {};
}

void ApiServer::Impl::set_serving(bool serving) {
  grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
  if (!health) return;
  health->SetServingStatus("", serving);
  for (const char* name : {v1::Primitives::service_full_name(), v1::Models::service_full_name(),
                           v1::Workflows::service_full_name(), v1::Tensors::service_full_name(),
                           v1::Status::service_full_name(), v1::Sessions::service_full_name()}) {
    health->SetServingStatus(name, serving);
  }
}

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<ApiServer>> ApiServer::start(FrontCore& core, const Config& config,
                                                    const std::string& unix_socket_path) {
  std::unique_ptr<ApiServer> server(new ApiServer(std::make_unique<Impl>(core, config)));
  LUNA_RETURN_IF_ERROR(server->impl_->listen(config, unix_socket_path));
  return server;
}

ApiServer::~ApiServer() { shutdown(Deadline::after(std::chrono::nanoseconds::zero())); }

void ApiServer::drain() {
  if (!impl_->server) return;
  std::call_once(impl_->drained, [this] {
    impl_->gate.close();
    impl_->set_serving(false);
    impl_->sessions.open_sessions().say_goodbye("lunad is stopping");
  });
}

void ApiServer::shutdown(Deadline deadline) {
  if (!impl_->server) return;
  drain();
  std::call_once(impl_->ended, [&] {
    impl_->gate.wait_idle(deadline);
    impl_->sessions.open_sessions().end_all(Status(StatusCode::kUnavailable, "lunad has stopped"));
    impl_->server->Shutdown(std::chrono::system_clock::now() + kEndGrace);
    impl_->server->Wait();
    if (!impl_->socket_path.empty()) ::unlink(impl_->socket_path.c_str());
  });
}

int ApiServer::tcp_port() const { return impl_->port; }

}  // namespace luna::front
