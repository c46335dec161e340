#include "daemon/worker/cuda/module/ipc_import.h"

#include <cstring>

#include <cuda_runtime_api.h>

#include "daemon/worker/cuda/module/cuda_status.h"
#include "daemon/worker/cuda/module/driver_calls.h"

namespace luna::worker::ipc_import {
namespace {

static_assert(CUDA_IPC_HANDLE_SIZE == 64);

template <class Handle>
Result<Handle> handle_from(const std::string& bytes, std::string_view what) {
  Handle handle{};
  if (bytes.size() != sizeof handle) {
    return error(StatusCode::kInvalidArgument, "{}: expected {} bytes, found {}", what,
                 sizeof handle, bytes.size());
  }
  std::memcpy(&handle, bytes.data(), sizeof handle);
  return handle;
}

/// Bad handles are the client's fault, not the device's.
Status opening(cudaError_t code, std::string_view what) {
  const Status status = cuda_status(code, what);
  const bool of_the_client =
      code == cudaErrorInvalidValue || code == cudaErrorInvalidResourceHandle ||
      code == cudaErrorMapBufferObjectFailed || code == cudaErrorInvalidDevicePointer ||
      code == cudaErrorDeviceUninitialized;
  if (!of_the_client) return status;
  return error(StatusCode::kInvalidArgument,
               "{}: the driver does not know this handle here (its process has ended, or runs in "
               "another container, or on another MIG instance)",
               status.message());
}

}  // namespace

Result<void*> open_memory(const std::string& bytes) {
  LUNA_ASSIGN_OR_RETURN(const auto handle,
                        handle_from<cudaIpcMemHandle_t>(bytes, "a cudaIpcMemHandle_t"));
  void* base = nullptr;
  LUNA_RETURN_IF_ERROR(opening(cudaIpcOpenMemHandle(&base, handle, cudaIpcMemLazyEnablePeerAccess),
                               "cudaIpcOpenMemHandle"));
  return base;
}

Status close_memory(void* base) {
  return cuda_status(cudaIpcCloseMemHandle(base), "cudaIpcCloseMemHandle");
}

Result<std::uint64_t> allocation_bytes(void* base) {
  LUNA_ASSIGN_OR_RETURN(const DriverCalls* driver, driver_calls());
  CUdeviceptr begin = 0;
  std::size_t size = 0;
  LUNA_RETURN_IF_ERROR(
      driver->status(driver->get_address_range(&begin, &size, reinterpret_cast<CUdeviceptr>(base)),
                     "cuMemGetAddressRange"));
  return static_cast<std::uint64_t>(size);
}

Result<void*> open_event(const std::string& bytes) {
  LUNA_ASSIGN_OR_RETURN(const auto handle,
                        handle_from<cudaIpcEventHandle_t>(bytes, "a cudaIpcEventHandle_t"));
  cudaEvent_t event = nullptr;
  LUNA_RETURN_IF_ERROR(opening(cudaIpcOpenEventHandle(&event, handle), "cudaIpcOpenEventHandle"));
  return static_cast<void*>(event);
}

Status close_event(void* event) {
  return cuda_status(cudaEventDestroy(static_cast<cudaEvent_t>(event)), "cudaEventDestroy");
}

}  // namespace luna::worker::ipc_import
