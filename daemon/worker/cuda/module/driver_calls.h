#pragma once

#include <string_view>

#include <cuda.h>

#include "common/base/status.h"

namespace luna::worker {

/// The driver's functions that the runtime does not offer, found through cudaGetDriverEntryPoint:
/// so nothing links libcuda.so, and a machine without it can load the module.
struct DriverCalls {
  decltype(&cuMemGetAddressRange) get_address_range = nullptr;
  decltype(&cuMemImportFromShareableHandle) import_shareable = nullptr;
  decltype(&cuMemAddressReserve) reserve = nullptr;
  decltype(&cuMemAddressFree) free_address = nullptr;
  decltype(&cuMemMap) map = nullptr;
  decltype(&cuMemUnmap) unmap = nullptr;
  decltype(&cuMemSetAccess) set_access = nullptr;
  decltype(&cuMemRelease) release = nullptr;
  decltype(&cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&cuGetErrorString) error_string = nullptr;

  Status status(CUresult code, std::string_view what) const;
};

/// Found once a process. FAILED_PRECONDITION names the first function that the driver lacks.
Result<const DriverCalls*> driver_calls();

}  // namespace luna::worker
