// The calls of luna.v1.Tensors about GPU memory. The front reads none of it: workers do.
#include "common/wire/tensor_wire.h"
#include "daemon/front/api/job_call.h"
#include "daemon/front/api/tensors_service.h"

namespace luna::front {
namespace {

/// A call that a worker on a GPU answers, of a session and without a workflow.
template <class Reply, class Response, class Read, class Write>
grpc::ServerUnaryReactor* run_about_memory(ApiContext& api, grpc::CallbackServerContext* context,
                                           Response* response, Read read, Write write) {
  auto ticket = api.gate.enter();
  if (!ticket.ok()) return answer_now(context, ticket.status());
  auto caller = caller_of(*context, NeedsWorkflow::kNo);
  if (!caller.ok()) return answer_now(context, caller.status());
  caller->cuda_results = false;  // the reply's memory is on the GPU in any case
  auto request = read();
  if (!request.ok()) return answer_now(context, request.status());
  return run_job<Reply>(api, std::move(*ticket), *caller, std::move(*request), response, write);
}

}  // namespace

grpc::ServerUnaryReactor* TensorsService::Allocate(grpc::CallbackServerContext* context,
                                                   const v1::AllocateTensorRequest* request,
                                                   v1::AllocateTensorResponse* response) {
  return run_about_memory<LeaseCudaReply>(
      api_, context, response,
      [&]() -> Result<LeaseCudaRequest> {
        return LeaseCudaRequest{request->device_uuid(), request->bytes()};
      },
      [](const LeaseCudaReply& reply, v1::AllocateTensorResponse* to) {
        wire::to_wire(reply.memory, to->mutable_tensor());
      });
}

grpc::ServerUnaryReactor* TensorsService::ProveCuda(grpc::CallbackServerContext* context,
                                                    const v1::ProveCudaRequest* request,
                                                    v1::ProveCudaResponse* response) {
  return run_about_memory<ProveCudaReply>(
      api_, context, response,
      [&]() -> Result<ProveCudaRequest> {
        const wire::FieldPath root;
        LUNA_ASSIGN_OR_RETURN(TensorRef memory, wire::from_wire(*taken(request).mutable_memory(),
                                                                root.field("memory")));
        return ProveCudaRequest{std::move(memory)};
      },
      [](const ProveCudaReply& reply, v1::ProveCudaResponse* to) {
        to->set_nonce(reply.nonce);
        wire::to_wire(reply.memory, to->mutable_memory());
      });
}

grpc::ServerUnaryReactor* TensorsService::ConfirmCuda(grpc::CallbackServerContext* context,
                                                      const v1::ConfirmCudaRequest* request,
                                                      v1::ConfirmCudaResponse* response) {
  const auto confirm = [&]() -> Status {
    LUNA_ASSIGN_OR_RETURN(const Caller caller, caller_of(*context, NeedsWorkflow::kNo));
    LUNA_ASSIGN_OR_RETURN(const std::vector<std::string> devices,
                          api_.core.confirm_cuda(caller, request->lease_id(), request->nonce()));
    response->add_planes("cuda");
    response->add_planes("inline");
    for (const std::string& uuid : devices) response->add_device_uuids(uuid);
    return {};
  };
  return answer_now(context, confirm());
}

}  // namespace luna::front
