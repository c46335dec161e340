#include "daemon/worker/cuda/module/cuda_status.h"

namespace luna::worker {

Status cuda_status(cudaError_t code, std::string_view what) {
  if (code == cudaSuccess) return {};
  cudaGetLastError();
  const StatusCode status = code == cudaErrorMemoryAllocation ? StatusCode::kResourceExhausted
                            : code == cudaErrorInsufficientDriver || code == cudaErrorNoDevice
                                ? StatusCode::kFailedPrecondition
                                : StatusCode::kInternal;
  return error(status, "{}: CUDA error {} ({}): {}", what, static_cast<int>(code),
               cudaGetErrorName(code), cudaGetErrorString(code));
}

DeviceScope::DeviceScope(int device) {
  status_ = cuda_status(cudaGetDevice(&previous_), "cudaGetDevice");
  if (!status_.ok()) return;
  if (previous_ == device) {
    previous_ = -1;
  } else {
    status_ = cuda_status(cudaSetDevice(device), "cudaSetDevice");
  }
}

DeviceScope::~DeviceScope() {
  if (previous_ >= 0) cudaSetDevice(previous_);
}

}  // namespace luna::worker
