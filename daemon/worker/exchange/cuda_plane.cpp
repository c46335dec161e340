#include "daemon/worker/exchange/cuda_plane.h"

#include <array>
#include <cstring>
#include <optional>
#include <random>
#include <utility>

#include "common/types/cuda_handle.h"
#include "common/types/request_tensors.h"
#include "daemon/worker/exchange/cuda_outbox.h"
#include "daemon/worker/ops/scalar_types.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

std::string random_nonce() {
  std::random_device random;
  std::array<std::uint32_t, kCudaNonceBytes / sizeof(std::uint32_t)> words{};
  for (std::uint32_t& word : words) word = random();
  std::string nonce(kCudaNonceBytes, '\0');
  std::memcpy(nonce.data(), words.data(), kCudaNonceBytes);
  return nonce;
}

class CudaPlane final : public DevicePlane {
 public:
  CudaPlane(CudaSharing& sharing, CudaPlaneOptions options)
      : sharing_(sharing),
        options_(std::move(options)),
        imports_(sharing, options_.device, options_.imports),
        outbox_(sharing, options_.device, options_.device_uuid, options_.outbox_bytes) {}

  Status bring_in(JobRequest& request, const std::string& session) override {
    imports_.sweep();
    return for_each_tensor(request, [&](TensorRef& tensor, const std::string& name) -> Status {
      auto* const handle = std::get_if<CudaHandle>(&tensor.place);
      return handle ? make_addressable(*handle, tensor.spec, session).with_context(name) : Status();
    });
  }

  Result<TensorRef> send_out(const at::Tensor& tensor, const std::string& session) override {
    const std::optional<DType> dtype = dtype_of(tensor.scalar_type());
    if (!dtype) {
      return error(StatusCode::kInternal, "a result of type {} has no name on the wire",
                   at::toString(tensor.scalar_type()));
    }
    TensorSpec spec{*dtype, tensor.sizes().vec()};
    LUNA_ASSIGN_OR_RETURN(CudaOutbox::Lease lease, outbox_.lease(spec.byte_size(), session));
    const Status copied = torch_call("copying a result to the outbox", [&]() -> Status {
      const at::Tensor whole = tensor.contiguous();
      return sharing_.copy(lease.data, whole.const_data_ptr(), spec.byte_size());
    });
    return publish(std::move(spec), std::move(lease), copied);
  }

  Result<LeaseCudaReply> lease(const LeaseCudaRequest& request,
                               const std::string& session) override {
    LUNA_ASSIGN_OR_RETURN(CudaOutbox::Lease lease, outbox_.lease(request.bytes, session));
    return LeaseCudaReply{{bytes_spec(request.bytes), std::move(lease.handle)}};
  }

  Result<ProveCudaReply> prove(const ProveCudaRequest& request,
                               const std::string& session) override {
    const auto* handle = std::get_if<CudaHandle>(&request.memory.place);
    if (!handle || !handle->mapping || request.memory.spec.byte_size() != kCudaNonceBytes) {
      return error(StatusCode::kInvalidArgument, "memory: expected {} bytes on a GPU, found {}",
                   kCudaNonceBytes, request.memory.spec.to_string());
    }
    ProveCudaReply reply{std::string(kCudaNonceBytes, '\0'), {}, random_nonce()};
    LUNA_RETURN_IF_ERROR(
        sharing_.copy(reply.nonce.data(), handle->mapping->data(), kCudaNonceBytes));
    LUNA_ASSIGN_OR_RETURN(CudaOutbox::Lease lease, outbox_.lease(kCudaNonceBytes, session));
    const Status written = sharing_.copy(lease.data, reply.expected.data(), kCudaNonceBytes);
    LUNA_ASSIGN_OR_RETURN(reply.memory,
                          publish(bytes_spec(kCudaNonceBytes), std::move(lease), written));
    return reply;
  }

  void release(const std::vector<std::string>& lease_ids) override { outbox_.release(lease_ids); }
  void end_session(const std::string& session) override {
    outbox_.end_session(session);
    imports_.end_session(session);
  }

 private:
  static TensorSpec bytes_spec(std::uint64_t bytes) {
    return {DType::kU8, {static_cast<std::int64_t>(bytes)}};
  }

  Status make_addressable(CudaHandle& handle, const TensorSpec& spec, const std::string& session) {
    if (handle.device_uuid != options_.device_uuid) {
      return error(StatusCode::kInvalidArgument,
                   "expected memory of {}, this worker's device, found memory of {}",
                   options_.device_uuid, handle.device_uuid);
    }
    LUNA_RETURN_IF_ERROR(check_cuda_handle(handle, spec));
    auto mapping = outbox_.owns(handle) ? outbox_.use(handle, spec.byte_size(), session)
                                        : imports_.use(handle, spec.byte_size(), session);
    LUNA_RETURN_IF_ERROR(mapping.status());
    handle.mapping = *std::move(mapping);
    return {};
  }

  /// What was written into a lease, ready to be read after its event; or why not, and no lease is
  /// left.
  Result<TensorRef> publish(TensorSpec spec, CudaOutbox::Lease lease, Status written) {
    if (written.ok()) written = outbox_.publish(lease);
    if (!written.ok()) {
      outbox_.release({lease.handle.lease_id});
      return written;
    }
    return TensorRef{std::move(spec), std::move(lease.handle)};
  }

  CudaSharing& sharing_;
  const CudaPlaneOptions options_;
  CudaImports imports_;
  CudaOutbox outbox_;
};

}  // namespace

std::unique_ptr<DevicePlane> make_cuda_plane(CudaSharing& sharing, CudaPlaneOptions options) {
  return std::make_unique<CudaPlane>(sharing, std::move(options));
}

}  // namespace luna::worker
