#include "client/rpc/connection.h"

#include <algorithm>
#include <limits>

#include <grpcpp/create_channel.h>

#include "client/rpc/rpc_status.h"

namespace luna::client {
namespace {

constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr std::size_t kMaxIdBytes = 128;

std::shared_ptr<grpc::Channel> channel_to(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(std::numeric_limits<int>::max());
  arguments.SetMaxSendMessageSize(std::numeric_limits<int>::max());
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A connection of its own: its end is this client's end, and no other's back-off delays it.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

Status check_workflow_id(const std::string& id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '-';
  };
  if (id.size() <= kMaxIdBytes && std::all_of(id.begin(), id.end(), allowed)) return {};
  return error(StatusCode::kInvalidArgument,
               "workflow id: expected at most {} characters of [A-Za-z0-9._:-], found {} bytes{}",
               kMaxIdBytes, id.size(), id.size() <= kMaxIdBytes ? ", others among them" : "");
}

}  // namespace

RpcConnection::RpcConnection(std::string address)
    : address_(std::move(address)),
      channel_(channel_to(address_)),
      sessions_(v1::Sessions::NewStub(channel_)),
      primitives_(v1::Primitives::NewStub(channel_)),
      models_(v1::Models::NewStub(channel_)),
      adapters_(v1::Adapters::NewStub(channel_)),
      workflows_(v1::Workflows::NewStub(channel_)),
      tensors_(v1::Tensors::NewStub(channel_)),
      status_(v1::Status::NewStub(channel_)),
      session_(std::make_unique<SessionStream>(address_)) {}

Result<std::unique_ptr<RpcConnection>> RpcConnection::open(const std::string& address,
                                                           const std::string& client_name,
                                                           Plane plane, Deadline deadline) {
  if (address.empty()) {
    return error(StatusCode::kInvalidArgument, "no address; expected unix:PATH or HOST:PORT");
  }
  std::unique_ptr<RpcConnection> connection(new RpcConnection(address));
  connection->session_->open(*connection->sessions_, client_name);
  LUNA_ASSIGN_OR_RETURN(const v1::SessionWelcome welcome,
                        connection->session_->wait_for_welcome(deadline));
  connection->session_id_ = welcome.session_id();
  connection->why_inline_ = connection->attach(welcome, plane, deadline);
  if (plane == Plane::kShm && !connection->why_inline_.ok()) {
    return connection->why_inline_.with_context("shared memory was demanded");
  }
  return connection;
}

Status RpcConnection::attach(const v1::SessionWelcome& welcome, Plane plane, Deadline deadline) {
  if (plane == Plane::kInline) {
    return Status(StatusCode::kFailedPrecondition, "the caller wants it so");
  }
  if (!welcome.has_local_socket()) {
    return error(StatusCode::kFailedPrecondition,
                 "lunad at {} offers no local socket: it is on another host, or serves none",
                 address_);
  }
  const v1::LocalSocket& socket = welcome.local_socket();
  LUNA_ASSIGN_OR_RETURN(auto local, LocalPlane::attach(socket.path(), socket.token(), deadline));
  shared_ = std::make_unique<SharedMemory>(std::move(local));
  return {};
}

std::string RpcConnection::why_inline() const {
  if (shared_memory()) return "";
  return why_inline_.ok() ? "the local socket to lunad has ended" : why_inline_.message();
}

Result<UniqueFd> RpcConnection::open_steps(const std::string& workflow_id,
                                           const std::vector<std::string>& lora_files) const {
  if (SharedMemory* shared = shared_memory()) {
    return shared->plane().open_steps(workflow_id, lora_files);
  }
  return Status(StatusCode::kUnavailable, why_inline());
}

Status RpcConnection::prepare(grpc::ClientContext& context, const CallOptions& options) const {
  LUNA_RETURN_IF_ERROR(session_->state());
  LUNA_RETURN_IF_ERROR(check_workflow_id(options.workflow_id));
  if (options.deadline.expired()) {
    return Status(StatusCode::kDeadlineExceeded,
                  "the deadline had passed before the call was made");
  }
  if (!options.deadline.infinite()) {
    context.set_deadline(std::chrono::system_clock::now() + options.deadline.left());
  }
  if (!options.workflow_id.empty()) context.AddMetadata("luna-workflow-id", options.workflow_id);
  context.AddMetadata("luna-session-id", session_id_);
  context.AddMetadata("luna-priority", std::string(priority_name(options.priority)));
  return {};
}

Status RpcConnection::status(const grpc::Status& status) const {
  return from_grpc(status, address_);
}

}  // namespace luna::client
