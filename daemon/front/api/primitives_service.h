#pragma once

#include "daemon/front/api/api_context.h"
#include "luna/v1/primitives.grpc.pb.h"

namespace luna::front {

/// luna.v1.Primitives: each call is a job of the caller's workflow.
class PrimitivesService final : public v1::Primitives::CallbackService {
 public:
  explicit PrimitivesService(ApiContext& api) : api_(api) {}

  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext*, const v1::TokenizeRequest*,
                                     v1::TokenizeResponse*) override;
  grpc::ServerUnaryReactor* EncodeText(grpc::CallbackServerContext*, const v1::EncodeTextRequest*,
                                       v1::EncodeTextResponse*) override;
  grpc::ServerUnaryReactor* VaeEncode(grpc::CallbackServerContext*, const v1::VaeEncodeRequest*,
                                      v1::VaeEncodeResponse*) override;
  grpc::ServerUnaryReactor* VaeDecode(grpc::CallbackServerContext*, const v1::VaeDecodeRequest*,
                                      v1::VaeDecodeResponse*) override;
  grpc::ServerUnaryReactor* Denoise(grpc::CallbackServerContext*, const v1::DenoiseRequest*,
                                    v1::DenoiseResponse*) override;
  grpc::ServerWriteReactor<v1::SampleResponse>* Sample(grpc::CallbackServerContext*,
                                                       const v1::SampleRequest*) override;

 private:
  ApiContext& api_;
};

}  // namespace luna::front
