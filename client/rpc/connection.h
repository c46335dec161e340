#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "client/rpc/session_stream.h"
#include "client/rpc/shared_memory.h"
#include "client/service/inference_service.h"
#include "luna/v1/adapters.grpc.pb.h"
#include "luna/v1/models.grpc.pb.h"
#include "luna/v1/primitives.grpc.pb.h"
#include "luna/v1/status.grpc.pb.h"
#include "luna/v1/tensor.grpc.pb.h"
#include "luna/v1/workflow.grpc.pb.h"

namespace luna::client {

/// One channel to one lunad, its stubs, and the session that lives as long as this.
class RpcConnection {
 public:
  /// How tensors may travel.
  enum class Plane {
    kBest,    ///< shared memory where the daemon offers it and it works
    kInline,  ///< inside the messages
    kShm,     ///< shared memory, or no connection
  };

  /// Connects, says Hello, and attaches to the local socket that the welcome names.
  static Result<std::unique_ptr<RpcConnection>> open(const std::string& address,
                                                     const std::string& client_name, Plane plane,
                                                     Deadline deadline);

  /// Fails when the session has ended, the deadline has passed, or the workflow's id is not one
  /// (gRPC takes no other bytes in metadata); otherwise the context carries who calls.
  Status prepare(grpc::ClientContext& context, const CallOptions& options) const;

  /// One blocking unary call. `method` is a member of the stub: &v1::Models::Stub::List.
  template <class Stub, class Request, class Response>
  Result<Response> call(Stub& stub,
                        grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const Request& request, const CallOptions& options) {
    grpc::ClientContext context;
    LUNA_RETURN_IF_ERROR(prepare(context, options));
    Response response;
    LUNA_RETURN_IF_ERROR(status((stub.*method)(&context, request, &response)));
    return response;
  }

  /// What a call ended with.
  Status status(const grpc::Status& status) const;

  /// Null where tensors travel inside the messages; why_inline() says why.
  SharedMemory* shared_memory() const {
    return shared_ && shared_->alive() ? shared_.get() : nullptr;
  }
  std::string why_inline() const;
  /// GrpcClient::open_steps.
  Result<UniqueFd> open_steps(const std::string& workflow_id,
                              const std::vector<std::string>& lora_files) const;

  const std::string& address() const { return address_; }
  const std::string& session_id() const { return session_id_; }
  v1::Primitives::Stub& primitives() { return *primitives_; }
  v1::Models::Stub& models() { return *models_; }
  v1::Adapters::Stub& adapters() { return *adapters_; }
  v1::Workflows::Stub& workflows() { return *workflows_; }
  v1::Tensors::Stub& tensors() { return *tensors_; }
  v1::Status::Stub& server_status() { return *status_; }

 private:
  explicit RpcConnection(std::string address);
  Status attach(const v1::SessionWelcome& welcome, Plane plane, Deadline deadline);

  std::string address_;
  std::string session_id_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Sessions::Stub> sessions_;
  std::unique_ptr<v1::Primitives::Stub> primitives_;
  std::unique_ptr<v1::Models::Stub> models_;
  std::unique_ptr<v1::Adapters::Stub> adapters_;
  std::unique_ptr<v1::Workflows::Stub> workflows_;
  std::unique_ptr<v1::Tensors::Stub> tensors_;
  std::unique_ptr<v1::Status::Stub> status_;
  std::unique_ptr<SessionStream> session_;
  std::unique_ptr<SharedMemory> shared_;
  Status why_inline_;
};

}  // namespace luna::client
