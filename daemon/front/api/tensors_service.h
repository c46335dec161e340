#pragma once

#include "daemon/front/api/api_context.h"
#include "luna/v1/tensor.grpc.pb.h"

namespace luna::front {

/// Bytes of one chunk of a download.
inline constexpr std::size_t kDownloadChunkBytes = std::size_t{1} << 20;

/// luna.v1.Tensors: uploads are gathered here and given to the core whole; downloads are cut into
/// chunks, one on its way at a time. Download and Free are served while draining, so that results
/// can be fetched.
class TensorsService final : public v1::Tensors::CallbackService {
 public:
  explicit TensorsService(ApiContext& api) : api_(api) {}

  grpc::ServerReadReactor<v1::UploadTensorRequest>* Upload(grpc::CallbackServerContext*,
                                                           v1::UploadTensorResponse*) override;
  grpc::ServerWriteReactor<v1::DownloadTensorResponse>* Download(
      grpc::CallbackServerContext*, const v1::DownloadTensorRequest*) override;
  grpc::ServerUnaryReactor* Free(grpc::CallbackServerContext*, const v1::FreeTensorRequest*,
                                 v1::FreeTensorResponse*) override;
  grpc::ServerUnaryReactor* Allocate(grpc::CallbackServerContext*, const v1::AllocateTensorRequest*,
                                     v1::AllocateTensorResponse*) override;
  grpc::ServerUnaryReactor* ProveCuda(grpc::CallbackServerContext*, const v1::ProveCudaRequest*,
                                      v1::ProveCudaResponse*) override;
  grpc::ServerUnaryReactor* ConfirmCuda(grpc::CallbackServerContext*, const v1::ConfirmCudaRequest*,
                                        v1::ConfirmCudaResponse*) override;

 private:
  ApiContext& api_;
};

}  // namespace luna::front
