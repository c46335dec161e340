#include "daemon/worker/cuda/module/outbox.h"

#include <cuda_runtime_api.h>

#include "daemon/worker/cuda/module/cuda_status.h"

namespace luna::worker::outbox {
namespace {

template <class Handle>
std::string bytes_of(const Handle& handle) {
  return {reinterpret_cast<const char*>(&handle), sizeof handle};
}

}  // namespace

Result<CudaSharing::Exported> allocate(std::uint64_t bytes) {
  void* base = nullptr;
  LUNA_RETURN_IF_ERROR(cuda_status(cudaMalloc(&base, bytes), "cudaMalloc"));
  cudaIpcMemHandle_t handle{};
  const Status exported = cuda_status(cudaIpcGetMemHandle(&handle, base), "cudaIpcGetMemHandle");
  if (!exported.ok()) {
    cudaFree(base);
    return exported;
  }
  return CudaSharing::Exported{base, bytes_of(handle)};
}

Status free(void* base) { return cuda_status(cudaFree(base), "cudaFree"); }

Result<CudaSharing::Exported> make_event() {
  cudaEvent_t event = nullptr;
  LUNA_RETURN_IF_ERROR(
      cuda_status(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventInterprocess),
                  "cudaEventCreateWithFlags"));
  cudaIpcEventHandle_t handle{};
  const Status exported =
      cuda_status(cudaIpcGetEventHandle(&handle, event), "cudaIpcGetEventHandle");
  if (!exported.ok()) {
    cudaEventDestroy(event);
    return exported;
  }
  return CudaSharing::Exported{event, bytes_of(handle)};
}

}  // namespace luna::worker::outbox
