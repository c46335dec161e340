#pragma once

#include "daemon/front/api/api_context.h"
#include "luna/v1/adapters.grpc.pb.h"

namespace luna::front {

/// luna.v1.Adapters: uploads go chunk by chunk into the core's UploadStore.
class AdaptersService final : public v1::Adapters::CallbackService {
 public:
  explicit AdaptersService(ApiContext& api) : api_(api) {}

  grpc::ServerReadReactor<v1::UploadAdapterRequest>* Upload(grpc::CallbackServerContext*,
                                                            v1::UploadAdapterResponse*) override;

 private:
  ApiContext& api_;
};

}  // namespace luna::front
