#include "client/rpc/admin_calls.h"

#include "client/rpc/adapter_upload.h"
#include "client/rpc/transfer.h"
#include "common/wire/models_wire.h"
#include "common/wire/status_wire.h"

namespace luna::client {
namespace {

constexpr std::chrono::seconds kQuick{30};
constexpr std::chrono::seconds kReadsFiles{600};

CallOptions within(std::chrono::seconds time, Deadline given = Deadline()) {
  return {"", Priority::kNormal, given.infinite() ? Deadline::after(time) : given};
}

}  // namespace

Result<WorkflowInfo> AdminCalls::register_workflow(const std::string& id,
                                                   const RequestedModels& models,
                                                   std::uint32_t ttl_seconds, bool preload,
                                                   Deadline deadline) {
  v1::RegisterWorkflowRequest request;
  request.set_workflow_id(id);
  wire::to_wire(models, request.mutable_models());
  request.set_ttl_seconds(ttl_seconds);
  request.set_preload(preload);
  LUNA_ASSIGN_OR_RETURN(auto response,
                        connection_.call(connection_.workflows(), &v1::Workflows::Stub::Register,
                                         request, within(kReadsFiles, deadline)));
  return wire::from_wire(*response.mutable_workflow());
}

Result<std::uint32_t> AdminCalls::renew_workflow(const std::string& id) {
  v1::RenewWorkflowRequest request;
  request.set_workflow_id(id);
  LUNA_ASSIGN_OR_RETURN(const auto response,
                        connection_.call(connection_.workflows(), &v1::Workflows::Stub::Renew,
                                         request, within(kQuick)));
  return response.seconds_left();
}

Status AdminCalls::release_workflow(const std::string& id) {
  v1::ReleaseWorkflowRequest request;
  request.set_workflow_id(id);
  return connection_
      .call(connection_.workflows(), &v1::Workflows::Stub::Release, request, within(kQuick))
      .status();
}

Result<std::vector<WorkflowInfo>> AdminCalls::list_workflows() {
  LUNA_ASSIGN_OR_RETURN(auto response,
                        connection_.call(connection_.workflows(), &v1::Workflows::Stub::List,
                                         v1::ListWorkflowsRequest(), within(kQuick)));
  std::vector<WorkflowInfo> workflows;
  for (v1::Workflow& message : *response.mutable_workflows()) {
    LUNA_ASSIGN_OR_RETURN(workflows.emplace_back(), wire::from_wire(message));
  }
  return workflows;
}

Result<AdminService::Models> AdminCalls::list_models(const std::string& folder) {
  v1::ListModelsRequest request;
  request.set_folder(folder);
  LUNA_ASSIGN_OR_RETURN(
      auto response,
      connection_.call(connection_.models(), &v1::Models::Stub::List, request, within(kQuick)));
  Models models;
  for (v1::ModelFile& message : *response.mutable_files()) {
    models.files.push_back(wire::from_wire(message));
  }
  for (v1::LoadedModel& message : *response.mutable_loaded()) {
    LUNA_ASSIGN_OR_RETURN(models.loaded.emplace_back(), wire::from_wire(message));
  }
  return models;
}

Result<InspectModelReply> AdminCalls::inspect(const std::string& file, bool tensors) {
  v1::InspectModelRequest request;
  request.set_file(file);
  request.set_tensors(tensors);
  LUNA_ASSIGN_OR_RETURN(auto response,
                        connection_.call(connection_.models(), &v1::Models::Stub::Inspect, request,
                                         within(kReadsFiles)));
  return wire::from_wire(response);
}

Result<std::vector<ComponentInfo>> AdminCalls::inspect_model(const std::string& file) {
  LUNA_ASSIGN_OR_RETURN(auto reply, inspect(file, false));
  return std::move(reply.components);
}

Result<std::vector<NamedTensor>> AdminCalls::list_model_tensors(const std::string& file) {
  LUNA_ASSIGN_OR_RETURN(auto reply, inspect(file, true));
  return std::move(reply.tensors);
}

Result<LoadedModel> AdminCalls::load_model(Slot slot, const ModelRef& model) {
  v1::LoadModelRequest request;
  wire::to_wire(LoadModelRequest{slot, model}, &request);
  LUNA_ASSIGN_OR_RETURN(auto response,
                        connection_.call(connection_.models(), &v1::Models::Stub::Load, request,
                                         within(kReadsFiles)));
  return wire::from_wire(*response.mutable_model());
}

Result<UnloadModelReply> AdminCalls::unload_model(const std::string& file, bool host) {
  v1::UnloadModelRequest request;
  request.set_file(file);
  request.set_host(host);
  LUNA_ASSIGN_OR_RETURN(
      auto response,
      connection_.call(connection_.models(), &v1::Models::Stub::Unload, request, within(kQuick)));
  return wire::from_wire(response);
}

Result<UnloadModelReply> AdminCalls::offload_model(const std::string& file,
                                                   std::optional<Slot> slot) {
  UnloadModelRequest offload;
  offload.path = file;
  offload.slot = slot;
  v1::OffloadModelRequest request;
  wire::to_wire(offload, &request);
  LUNA_ASSIGN_OR_RETURN(
      auto response,
      connection_.call(connection_.models(), &v1::Models::Stub::Offload, request, within(kQuick)));
  return wire::from_wire(response);
}

Result<RestoreModelReply> AdminCalls::restore_model(const std::string& file) {
  v1::RestoreModelRequest request;
  request.set_file(file);
  LUNA_ASSIGN_OR_RETURN(auto response,
                        connection_.call(connection_.models(), &v1::Models::Stub::Restore, request,
                                         within(kReadsFiles)));
  return wire::from_wire(response);
}

Result<std::string> AdminCalls::pin_model(const std::string& file) {
  v1::PinModelRequest request;
  request.set_file(file);
  LUNA_ASSIGN_OR_RETURN(
      auto response,
      connection_.call(connection_.models(), &v1::Models::Stub::Pin, request, within(kQuick)));
  return std::move(*response.mutable_file());
}

Result<std::string> AdminCalls::unpin_model(const std::string& file) {
  v1::UnpinModelRequest request;
  request.set_file(file);
  LUNA_ASSIGN_OR_RETURN(
      auto response,
      connection_.call(connection_.models(), &v1::Models::Stub::Unpin, request, within(kQuick)));
  return std::move(*response.mutable_file());
}

Result<std::string> AdminCalls::upload_adapter(const std::string& path) {
  return client::upload_adapter(connection_, path);
}

Result<WritableTensor> AdminCalls::allocate(const TensorSpec& spec) {
  LUNA_RETURN_IF_ERROR(spec.validate());
  const std::size_t size = spec.byte_size();
  SharedMemory* shared = connection_.shared_memory();
  if (shared && size > SharedMemory::kSmallest) {
    if (auto piece = shared->arena().take(size); piece.ok()) {
      return WritableTensor{{spec, BytesPtr(*piece)}, (*piece)->writable()};
    }
  }
  const BytesPtr heap = bytes_from(std::string(size, '\0'));
  const auto view = heap->view();  // of a string that is nobody else's yet
  return WritableTensor{{spec, heap}, {const_cast<std::byte*>(view.data()), view.size()}};
}

Result<TensorRef> AdminCalls::upload(const std::string& workflow_id, const TensorRef& host_tensor) {
  return client::upload(connection_, {workflow_id, Priority::kNormal, {}}, host_tensor);
}

Result<TensorRef> AdminCalls::download(const std::string& workflow_id,
                                       const std::string& resident_id) {
  return client::download(connection_, {workflow_id, Priority::kNormal, {}}, resident_id);
}

Result<std::uint64_t> AdminCalls::free_tensors(const std::string& workflow_id,
                                               const std::vector<std::string>& ids) {
  return client::free_tensors(connection_, {workflow_id, Priority::kNormal, {}}, ids);
}

Result<StatusInfo> AdminCalls::status() {
  LUNA_ASSIGN_OR_RETURN(auto response,
                        connection_.call(connection_.server_status(), &v1::Status::Stub::Get,
                                         v1::GetStatusRequest(), within(kQuick)));
  return wire::from_wire(response);
}

}  // namespace luna::client
