#include "client/rpc/grpc_client.h"

#include <cstdlib>

#include "client/rpc/admin_calls.h"
#include "client/rpc/inference_calls.h"

namespace luna::client {
namespace {

/// Both ports over one connection.
class ConnectedClient final : public GrpcClient {
 public:
  explicit ConnectedClient(std::unique_ptr<RpcConnection> connection)
      : connection_(std::move(connection)), inference_(*connection_), admin_(*connection_) {}

  const std::string& session_id() const override { return connection_->session_id(); }
  std::string plane() const override { return connection_->shared_memory() ? "shm" : "inline"; }
  std::string why_inline() const override { return connection_->why_inline(); }

  Result<UniqueFd> open_steps(const std::string& workflow_id,
                              const std::vector<std::string>& lora_files) override {
    return connection_->open_steps(workflow_id, lora_files);
  }

  std::shared_ptr<CallHandle> tokenize(const CallOptions& options, TokenizeRequest request,
                                       Done<TokenizeReply> done) override {
    return inference_.tokenize(options, std::move(request), std::move(done));
  }
  std::shared_ptr<CallHandle> encode_text(const CallOptions& options, EncodeTextRequest request,
                                          Done<EncodeTextReply> done) override {
    return inference_.encode_text(options, std::move(request), std::move(done));
  }
  std::shared_ptr<CallHandle> vae_encode(const CallOptions& options, VaeEncodeRequest request,
                                         Done<VaeEncodeReply> done) override {
    return inference_.vae_encode(options, std::move(request), std::move(done));
  }
  std::shared_ptr<CallHandle> vae_decode(const CallOptions& options, VaeDecodeRequest request,
                                         Done<VaeDecodeReply> done) override {
    return inference_.vae_decode(options, std::move(request), std::move(done));
  }
  std::shared_ptr<CallHandle> denoise(const CallOptions& options, DenoiseRequest request,
                                      Done<DenoiseReply> done) override {
    return inference_.denoise(options, std::move(request), std::move(done));
  }
  std::shared_ptr<CallHandle> sample(const CallOptions& options, SampleRequest request,
                                     std::function<void(const SampleProgress&)> progress,
                                     Done<SampleReply> done) override {
    return inference_.sample(options, std::move(request), std::move(progress), std::move(done));
  }

  Result<WorkflowInfo> register_workflow(const std::string& id, const RequestedModels& models,
                                         std::uint32_t ttl_seconds, bool preload,
                                         Deadline deadline) override {
    return admin_.register_workflow(id, models, ttl_seconds, preload, deadline);
  }
  Result<std::uint32_t> renew_workflow(const std::string& id) override {
    return admin_.renew_workflow(id);
  }
  Status release_workflow(const std::string& id) override { return admin_.release_workflow(id); }
  Result<std::vector<WorkflowInfo>> list_workflows() override { return admin_.list_workflows(); }
  Result<Models> list_models(const std::string& folder) override {
    return admin_.list_models(folder);
  }
  Result<std::vector<ComponentInfo>> inspect_model(const std::string& file) override {
    return admin_.inspect_model(file);
  }
  Result<std::vector<NamedTensor>> list_model_tensors(const std::string& file) override {
    return admin_.list_model_tensors(file);
  }
  Result<LoadedModel> load_model(Slot slot, const ModelRef& model) override {
    return admin_.load_model(slot, model);
  }
  Result<UnloadModelReply> unload_model(const std::string& file, bool host) override {
    return admin_.unload_model(file, host);
  }
  Result<UnloadModelReply> offload_model(const std::string& file,
                                         std::optional<Slot> slot) override {
    return admin_.offload_model(file, slot);
  }
  Result<RestoreModelReply> restore_model(const std::string& file) override {
    return admin_.restore_model(file);
  }
  Result<std::string> pin_model(const std::string& file) override { return admin_.pin_model(file); }
  Result<std::string> upload_adapter(const std::string& path) override {
    return admin_.upload_adapter(path);
  }
  Result<std::string> unpin_model(const std::string& file) override {
    return admin_.unpin_model(file);
  }
  Result<WritableTensor> allocate(const TensorSpec& spec) override { return admin_.allocate(spec); }
  Result<TensorRef> upload(const std::string& workflow_id, const TensorRef& host_tensor) override {
    return admin_.upload(workflow_id, host_tensor);
  }
  Result<TensorRef> download(const std::string& workflow_id,
                             const std::string& resident_id) override {
    return admin_.download(workflow_id, resident_id);
  }
  Result<std::uint64_t> free_tensors(const std::string& workflow_id,
                                     const std::vector<std::string>& ids) override {
    return admin_.free_tensors(workflow_id, ids);
  }
  Result<StatusInfo> status() override { return admin_.status(); }

 private:
  std::unique_ptr<RpcConnection> connection_;
  InferenceCalls inference_;
  AdminCalls admin_;
};

Result<RpcConnection::Plane> plane_of(std::string name) {
  const char* wanted = std::getenv("LUNA_PLANE");
  if (name.empty() && wanted) name = wanted;
  if (name.empty()) return RpcConnection::Plane::kBest;
  if (name == "inline") return RpcConnection::Plane::kInline;
  if (name == "shm") return RpcConnection::Plane::kShm;
  return error(StatusCode::kInvalidArgument,
               "plane (or LUNA_PLANE): expected inline or shm, found '{}'", name);
}

}  // namespace

Result<std::unique_ptr<GrpcClient>> GrpcClient::connect(const ConnectOptions& options) {
  LUNA_ASSIGN_OR_RETURN(const RpcConnection::Plane plane, plane_of(options.plane));
  LUNA_ASSIGN_OR_RETURN(auto connection,
                        RpcConnection::open(options.address, options.client_name, plane,
                                            Deadline::after(options.timeout)));
  return std::unique_ptr<GrpcClient>(std::make_unique<ConnectedClient>(std::move(connection)));
}

}  // namespace luna::client
