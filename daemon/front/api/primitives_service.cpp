#include "daemon/front/api/primitives_service.h"

#include "common/wire/primitives_wire.h"
#include "common/wire/sampling_wire.h"
#include "daemon/front/api/job_call.h"
#include "daemon/front/api/sample_stream.h"

namespace luna::front {
namespace {

/// The unary primitives differ in their types only.
template <class Reply, class Request, class Response>
grpc::ServerUnaryReactor* primitive(ApiContext& api, grpc::CallbackServerContext* context,
                                    const Request* message, Response* response) {
  auto ticket = api.gate.enter();
  if (!ticket.ok()) return answer_now(context, ticket.status());
  const auto caller = caller_of(*context, NeedsWorkflow::kYes);
  if (!caller.ok()) return answer_now(context, caller.status());
  auto request = wire::from_wire(taken(message), wire::FieldPath(api.limits.inline_bytes));
  if (!request.ok()) return answer_now(context, request.status());
  return run_job<Reply>(api, std::move(*ticket), *caller, std::move(*request), response,
                        [](const Reply& reply, Response* to) { wire::to_wire(reply, to); });
}

}  // namespace

grpc::ServerUnaryReactor* PrimitivesService::Tokenize(grpc::CallbackServerContext* context,
                                                      const v1::TokenizeRequest* request,
                                                      v1::TokenizeResponse* response) {
  return primitive<TokenizeReply>(api_, context, request, response);
}

grpc::ServerUnaryReactor* PrimitivesService::EncodeText(grpc::CallbackServerContext* context,
                                                        const v1::EncodeTextRequest* request,
                                                        v1::EncodeTextResponse* response) {
  return primitive<EncodeTextReply>(api_, context, request, response);
}

grpc::ServerUnaryReactor* PrimitivesService::VaeEncode(grpc::CallbackServerContext* context,
                                                       const v1::VaeEncodeRequest* request,
                                                       v1::VaeEncodeResponse* response) {
  return primitive<VaeEncodeReply>(api_, context, request, response);
}

grpc::ServerUnaryReactor* PrimitivesService::VaeDecode(grpc::CallbackServerContext* context,
                                                       const v1::VaeDecodeRequest* request,
                                                       v1::VaeDecodeResponse* response) {
  return primitive<VaeDecodeReply>(api_, context, request, response);
}

grpc::ServerUnaryReactor* PrimitivesService::Denoise(grpc::CallbackServerContext* context,
                                                     const v1::DenoiseRequest* request,
                                                     v1::DenoiseResponse* response) {
  return primitive<DenoiseReply>(api_, context, request, response);
}

grpc::ServerWriteReactor<v1::SampleResponse>* PrimitivesService::Sample(
    grpc::CallbackServerContext* context, const v1::SampleRequest* message) {
  auto ticket = api_.gate.enter();
  const auto stream = SampleStream::open(api_, ticket.ok() ? std::move(*ticket) : Gate::Ticket());
  if (!ticket.ok()) {
    stream->refuse(ticket.status());
    return stream.get();
  }
  const auto caller = caller_of(*context, NeedsWorkflow::kYes);
  if (!caller.ok()) {
    stream->refuse(caller.status());
    return stream.get();
  }
  auto request = wire::from_wire(taken(message), wire::FieldPath(api_.limits.inline_bytes));
  if (!request.ok()) {
    stream->refuse(request.status());
    return stream.get();
  }
  stream->start(*caller, std::move(*request));
  return stream.get();
}

}  // namespace luna::front
