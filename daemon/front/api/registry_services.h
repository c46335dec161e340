#pragma once

#include "daemon/front/api/api_context.h"
#include "luna/v1/models.grpc.pb.h"
#include "luna/v1/status.grpc.pb.h"
#include "luna/v1/workflow.grpc.pb.h"

namespace luna::front {

/// luna.v1.Models: listing and pins ask the core; all else are jobs.
class ModelsService final : public v1::Models::CallbackService {
 public:
  explicit ModelsService(ApiContext& api) : api_(api) {}

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext*, const v1::ListModelsRequest*,
                                 v1::ListModelsResponse*) override;
  grpc::ServerUnaryReactor* Inspect(grpc::CallbackServerContext*, const v1::InspectModelRequest*,
                                    v1::InspectModelResponse*) override;
  grpc::ServerUnaryReactor* Load(grpc::CallbackServerContext*, const v1::LoadModelRequest*,
                                 v1::LoadModelResponse*) override;
  grpc::ServerUnaryReactor* Unload(grpc::CallbackServerContext*, const v1::UnloadModelRequest*,
                                   v1::UnloadModelResponse*) override;
  grpc::ServerUnaryReactor* Offload(grpc::CallbackServerContext*, const v1::OffloadModelRequest*,
                                    v1::OffloadModelResponse*) override;
  grpc::ServerUnaryReactor* Restore(grpc::CallbackServerContext*, const v1::RestoreModelRequest*,
                                    v1::RestoreModelResponse*) override;
  grpc::ServerUnaryReactor* Pin(grpc::CallbackServerContext*, const v1::PinModelRequest*,
                                v1::PinModelResponse*) override;
  grpc::ServerUnaryReactor* Unpin(grpc::CallbackServerContext*, const v1::UnpinModelRequest*,
                                  v1::UnpinModelResponse*) override;

 private:
  ApiContext& api_;
};

/// luna.v1.Workflows over the core's registry. Renew, Release and List are served while draining
/// too.
class WorkflowsService final : public v1::Workflows::CallbackService {
 public:
  explicit WorkflowsService(ApiContext& api) : api_(api) {}

  grpc::ServerUnaryReactor* Register(grpc::CallbackServerContext*,
                                     const v1::RegisterWorkflowRequest*,
                                     v1::RegisterWorkflowResponse*) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext*, const v1::RenewWorkflowRequest*,
                                  v1::RenewWorkflowResponse*) override;
  grpc::ServerUnaryReactor* Release(grpc::CallbackServerContext*, const v1::ReleaseWorkflowRequest*,
                                    v1::ReleaseWorkflowResponse*) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext*, const v1::ListWorkflowsRequest*,
                                 v1::ListWorkflowsResponse*) override;

 private:
  ApiContext& api_;
};

/// luna.v1.Status, served while draining too.
class StatusService final : public v1::Status::CallbackService {
 public:
  explicit StatusService(ApiContext& api) : api_(api) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext*, const v1::GetStatusRequest*,
                                v1::GetStatusResponse*) override;

 private:
  ApiContext& api_;
};

}  // namespace luna::front
