#include "daemon/front/api/registry_services.h"

#include "common/wire/models_wire.h"
#include "common/wire/status_wire.h"
#include "common/wire/utf8.h"
#include "daemon/front/api/job_call.h"

namespace luna::front {
namespace {

/// A file name that a request cannot do without.
Status check_file(const std::string& file) {
  if (file.empty()) return error(StatusCode::kInvalidArgument, "file: missing");
  return {};
}

/// Answers at once with what `fill` writes and returns.
template <class Fill>
grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, Fill&& fill) {
  return answer_now(context, std::forward<Fill>(fill)());
}

template <class Reply, class Response>
void write_reply(const Reply& reply, Response* to) {
  wire::to_wire(reply, to);
}
void write_reply(const LoadModelReply& reply, v1::LoadModelResponse* to) {
  wire::to_wire(reply.model, WorkerId{}, to->mutable_model());
}

/// A job that needs no workflow; `make` reads its request out of the message.
template <class Reply, class Response, class Make>
grpc::ServerUnaryReactor* run_about_files(ApiContext& api, grpc::CallbackServerContext* context,
                                          Response* response, Make&& make) {
  auto ticket = api.gate.enter();
  if (!ticket.ok()) return answer_now(context, ticket.status());
  const auto caller = caller_of(*context, NeedsWorkflow::kNo);
  if (!caller.ok()) return answer_now(context, caller.status());
  auto request = std::forward<Make>(make)();
  if (!request.ok()) return answer_now(context, request.status());
  return run_job<Reply>(api, std::move(*ticket), *caller, std::move(*request), response,
                        [](const Reply& reply, Response* to) { write_reply(reply, to); });
}

}  // namespace

grpc::ServerUnaryReactor* ModelsService::List(grpc::CallbackServerContext* context,
                                              const v1::ListModelsRequest* request,
                                              v1::ListModelsResponse* response) {
  return answer(context, [&]() -> Status {
    LUNA_ASSIGN_OR_RETURN(const auto ticket, api_.gate.enter());
    LUNA_ASSIGN_OR_RETURN(const Caller caller, caller_of(*context, NeedsWorkflow::kNo));
    LUNA_ASSIGN_OR_RETURN(const auto files, api_.core.list_model_files(caller, request->folder()));
    for (const ModelFileInfo& file : files) {
      // A name that is no UTF-8 cannot be said in a request either.
      if (wire::is_utf8(file.file)) wire::to_wire(file, response->add_files());
    }
    for (const WorkerInfo& worker : api_.core.status().workers) {
      for (const LoadedModel& model : worker.report.models) {
        wire::to_wire(model, worker.id, response->add_loaded());
      }
    }
    return {};
  });
}

grpc::ServerUnaryReactor* ModelsService::Inspect(grpc::CallbackServerContext* context,
                                                 const v1::InspectModelRequest* request,
                                                 v1::InspectModelResponse* response) {
  return run_about_files<InspectModelReply>(
      api_, context, response, [&]() -> Result<InspectModelRequest> {
        LUNA_RETURN_IF_ERROR(check_file(request->file()));
        return InspectModelRequest{request->file(), request->tensors()};
      });
}

grpc::ServerUnaryReactor* ModelsService::Load(grpc::CallbackServerContext* context,
                                              const v1::LoadModelRequest* message,
                                              v1::LoadModelResponse* response) {
  return run_about_files<LoadModelReply>(api_, context, response,
                                         [&] { return wire::from_wire(taken(message)); });
}

grpc::ServerUnaryReactor* ModelsService::Unload(grpc::CallbackServerContext* context,
                                                const v1::UnloadModelRequest* request,
                                                v1::UnloadModelResponse* response) {
  return run_about_files<UnloadModelReply>(api_, context, response,
                                           [&]() -> Result<UnloadModelRequest> {
                                             LUNA_RETURN_IF_ERROR(check_file(request->file()));
                                             UnloadModelRequest unload;
                                             unload.path = request->file();
                                             unload.host = request->host();
                                             return unload;
                                           });
}

grpc::ServerUnaryReactor* ModelsService::Offload(grpc::CallbackServerContext* context,
                                                 const v1::OffloadModelRequest* message,
                                                 v1::OffloadModelResponse* response) {
  return run_about_files<UnloadModelReply>(api_, context, response,
                                           [&] { return wire::from_wire(taken(message)); });
}

grpc::ServerUnaryReactor* ModelsService::Restore(grpc::CallbackServerContext* context,
                                                 const v1::RestoreModelRequest* request,
                                                 v1::RestoreModelResponse* response) {
  return run_about_files<RestoreModelReply>(api_, context, response,
                                            [&]() -> Result<RestoreModelRequest> {
                                              LUNA_RETURN_IF_ERROR(check_file(request->file()));
                                              return RestoreModelRequest{request->file()};
                                            });
}

grpc::ServerUnaryReactor* ModelsService::Pin(grpc::CallbackServerContext* context,
                                             const v1::PinModelRequest* request,
                                             v1::PinModelResponse* response) {
  return answer(context, [&]() -> Status {
    LUNA_ASSIGN_OR_RETURN(const auto ticket, api_.gate.enter());
    LUNA_ASSIGN_OR_RETURN(const Caller caller, caller_of(*context, NeedsWorkflow::kNo));
    LUNA_RETURN_IF_ERROR(check_file(request->file()));
    LUNA_ASSIGN_OR_RETURN(const std::string path, api_.core.pin_model(caller, request->file()));
    response->set_file(wire::to_utf8(path));
    return {};
  });
}

grpc::ServerUnaryReactor* ModelsService::Unpin(grpc::CallbackServerContext* context,
                                               const v1::UnpinModelRequest* request,
                                               v1::UnpinModelResponse* response) {
  return answer(context, [&]() -> Status {
    LUNA_ASSIGN_OR_RETURN(const auto ticket, api_.gate.enter());
    LUNA_ASSIGN_OR_RETURN(const Caller caller, caller_of(*context, NeedsWorkflow::kNo));
    LUNA_RETURN_IF_ERROR(check_file(request->file()));
    LUNA_ASSIGN_OR_RETURN(const std::string path, api_.core.unpin_model(caller, request->file()));
    response->set_file(wire::to_utf8(path));
    return {};
  });
}

grpc::ServerUnaryReactor* WorkflowsService::Register(grpc::CallbackServerContext* context,
                                                     const v1::RegisterWorkflowRequest* message,
                                                     v1::RegisterWorkflowResponse* response) {
  auto ticket = api_.gate.enter();
  if (!ticket.ok()) return answer_now(context, ticket.status());
  const auto caller = caller_of(*context, NeedsWorkflow::kNo);
  if (!caller.ok()) return answer_now(context, caller.status());
  const wire::FieldPath root;
  auto models = wire::from_wire(*taken(message).mutable_models(), root.field("models"));
  if (!models.ok()) return answer_now(context, models.status());
  const auto call = UnaryCall::open(std::move(*ticket));
  api_.core.register_workflow(*caller, message->workflow_id(), std::move(*models),
                              message->ttl_seconds(), message->preload(),
                              [call, response](Result<WorkflowInfo> workflow) {
                                call->finish_with([&]() -> Status {
                                  if (!workflow.ok()) return workflow.status();
                                  wire::to_wire(*workflow, response->mutable_workflow());
                                  return {};
                                });
                              });
  return call.get();
}

grpc::ServerUnaryReactor* WorkflowsService::Renew(grpc::CallbackServerContext* context,
                                                  const v1::RenewWorkflowRequest* request,
                                                  v1::RenewWorkflowResponse* response) {
  return answer(context, [&]() -> Status {
    LUNA_ASSIGN_OR_RETURN(const auto left, api_.core.renew_workflow(request->workflow_id()));
    response->set_seconds_left(left);
    return {};
  });
}

grpc::ServerUnaryReactor* WorkflowsService::Release(grpc::CallbackServerContext* context,
                                                    const v1::ReleaseWorkflowRequest* request,
                                                    v1::ReleaseWorkflowResponse*) {
  return answer(context, [&] { return api_.core.release_workflow(request->workflow_id()); });
}

grpc::ServerUnaryReactor* WorkflowsService::List(grpc::CallbackServerContext* context,
                                                 const v1::ListWorkflowsRequest*,
                                                 v1::ListWorkflowsResponse* response) {
  return answer(context, [&]() -> Status {
    for (const WorkflowInfo& workflow : api_.core.list_workflows()) {
      wire::to_wire(workflow, response->add_workflows());
    }
    return {};
  });
}

grpc::ServerUnaryReactor* StatusService::Get(grpc::CallbackServerContext* context,
                                             const v1::GetStatusRequest*,
                                             v1::GetStatusResponse* response) {
  return answer(context, [&]() -> Status {
    StatusInfo status = api_.core.status();
    status.draining = status.draining || api_.gate.closed();
    wire::to_wire(status, response);
    return {};
  });
}

}  // namespace luna::front
