#include "daemon/worker/cuda/module/driver_calls.h"

#include <cuda_runtime_api.h>

#include "daemon/worker/cuda/module/cuda_status.h"

namespace luna::worker {
namespace {

template <class F>
Status find(const char* name, F& function) {
  // The signatures in cuda.h are those of 12.0 and later; the driver keeps them.
  constexpr unsigned kSince = 12000;
  void* found = nullptr;
  cudaDriverEntryPointQueryResult how = cudaDriverEntryPointSymbolNotFound;
  LUNA_RETURN_IF_ERROR(cuda_status(
      cudaGetDriverEntryPointByVersion(name, &found, kSince, cudaEnableDefault, &how), name));
  if (how != cudaDriverEntryPointSuccess || found == nullptr) {
    return error(StatusCode::kFailedPrecondition, "the driver has no {}; it is older than CUDA 12",
                 name);
  }
  function = reinterpret_cast<F>(found);
  return {};
}

Result<DriverCalls> find_all() {
  DriverCalls calls;
  LUNA_RETURN_IF_ERROR(find("cuMemGetAddressRange", calls.get_address_range));
  LUNA_RETURN_IF_ERROR(find("cuMemImportFromShareableHandle", calls.import_shareable));
  LUNA_RETURN_IF_ERROR(find("cuMemAddressReserve", calls.reserve));
  LUNA_RETURN_IF_ERROR(find("cuMemAddressFree", calls.free_address));
  LUNA_RETURN_IF_ERROR(find("cuMemMap", calls.map));
  LUNA_RETURN_IF_ERROR(find("cuMemUnmap", calls.unmap));
  LUNA_RETURN_IF_ERROR(find("cuMemSetAccess", calls.set_access));
  LUNA_RETURN_IF_ERROR(find("cuMemRelease", calls.release));
  LUNA_RETURN_IF_ERROR(find("cuMemGetAllocationGranularity", calls.granularity));
  LUNA_RETURN_IF_ERROR(find("cuGetErrorString", calls.error_string));
  return calls;
}

}  // namespace

Status DriverCalls::status(CUresult code, std::string_view what) const {
  if (code == CUDA_SUCCESS) return {};
  const char* words = nullptr;
  if (error_string(code, &words) != CUDA_SUCCESS || words == nullptr) words = "unknown";
  const StatusCode status =
      code == CUDA_ERROR_OUT_OF_MEMORY ? StatusCode::kResourceExhausted : StatusCode::kInternal;
  return error(status, "{}: driver error {}: {}", what, static_cast<int>(code), words);
}

Result<const DriverCalls*> driver_calls() {
  static const Result<DriverCalls> calls = find_all();
  LUNA_RETURN_IF_ERROR(calls.status());
  return &*calls;
}

}  // namespace luna::worker
