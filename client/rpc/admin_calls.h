#pragma once

#include "client/rpc/connection.h"
#include "client/service/admin_service.h"

namespace luna::client {

/// Blocking calls over one connection. Those that may read whole model files (registering,
/// inspecting, loading, restoring) have 10 minutes unless a deadline is given, the others 30 s.
class AdminCalls final : public AdminService {
 public:
  explicit AdminCalls(RpcConnection& connection) : connection_(connection) {}

  Result<WorkflowInfo> register_workflow(const std::string& id, const RequestedModels& models,
                                         std::uint32_t ttl_seconds, bool preload,
                                         Deadline deadline) override;
  Result<std::uint32_t> renew_workflow(const std::string& id) override;
  Status release_workflow(const std::string& id) override;
  Result<std::vector<WorkflowInfo>> list_workflows() override;
  Result<Models> list_models(const std::string& folder) override;
  Result<std::vector<ComponentInfo>> inspect_model(const std::string& file) override;
  Result<std::vector<NamedTensor>> list_model_tensors(const std::string& file) override;
  Result<LoadedModel> load_model(Slot slot, const ModelRef& model) override;
  Result<UnloadModelReply> unload_model(const std::string& file, bool host) override;
  Result<UnloadModelReply> offload_model(const std::string& file,
                                         std::optional<Slot> slot) override;
  Result<RestoreModelReply> restore_model(const std::string& file) override;
  Result<std::string> pin_model(const std::string& file) override;
  Result<std::string> unpin_model(const std::string& file) override;
  Result<std::string> upload_adapter(const std::string& path) override;
  Result<WritableTensor> allocate(const TensorSpec& spec) override;
  Result<TensorRef> upload(const std::string& workflow_id, const TensorRef& host_tensor) override;
  Result<TensorRef> download(const std::string& workflow_id,
                             const std::string& resident_id) override;
  Result<std::uint64_t> free_tensors(const std::string& workflow_id,
                                     const std::vector<std::string>& ids) override;
  Result<StatusInfo> status() override;

 private:
  Result<InspectModelReply> inspect(const std::string& file, bool tensors);

  RpcConnection& connection_;
};

}  // namespace luna::client
