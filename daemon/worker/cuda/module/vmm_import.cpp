#include "daemon/worker/cuda/module/vmm_import.h"

#include "daemon/worker/cuda/module/driver_calls.h"

namespace luna::worker::vmm_import {
namespace {

CUmemLocation location_of(int device) {
  CUmemLocation location{};
  location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  location.id = device;
  return location;
}

Status check_size(const DriverCalls& driver, int device, std::uint64_t bytes) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  properties.location = location_of(device);
  std::size_t granularity = 0;
  LUNA_RETURN_IF_ERROR(
      driver.status(driver.granularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
                    "cuMemGetAllocationGranularity"));
  if (bytes > 0 && granularity > 0 && bytes % granularity == 0) return {};
  return error(StatusCode::kInvalidArgument,
               "expected an exported allocation of a multiple of {} bytes, found {} bytes",
               granularity, bytes);
}

/// Maps `memory` at the reserved `address`.
Status map_at(const DriverCalls& driver, int device, CUdeviceptr address, std::uint64_t bytes,
              CUmemGenericAllocationHandle memory) {
  // Fails too when the allocation is smaller than it was said to be.
  const CUresult mapped = driver.map(address, bytes, 0, memory, 0);
  if (mapped == CUDA_ERROR_INVALID_VALUE) {
    return error(StatusCode::kInvalidArgument,
                 "the driver maps no {} bytes of this descriptor: its allocation has another size",
                 bytes);
  }
  LUNA_RETURN_IF_ERROR(driver.status(mapped, "cuMemMap"));
  CUmemAccessDesc access{};
  access.location = location_of(device);
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const Status granted =
      driver.status(driver.set_access(address, bytes, &access, 1), "cuMemSetAccess");
  if (!granted.ok()) driver.unmap(address, bytes);
  return granted;
}

}  // namespace

Result<void*> map(int device, int fd, std::uint64_t bytes) {
  LUNA_ASSIGN_OR_RETURN(const DriverCalls* driver, driver_calls());
  LUNA_RETURN_IF_ERROR(check_size(*driver, device, bytes));
  CUmemGenericAllocationHandle memory = 0;
  // The descriptor is passed by value, as a pointer.
  const CUresult imported =
      driver->import_shareable(&memory, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)),
                               CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  if (imported != CUDA_SUCCESS) {
    return error(StatusCode::kInvalidArgument,
                 "expected a descriptor of cuMemExportToShareableHandle: {}",
                 driver->status(imported, "cuMemImportFromShareableHandle").message());
  }
  CUdeviceptr address = 0;
  Status mapped = driver->status(driver->reserve(&address, bytes, 0, 0, 0), "cuMemAddressReserve");
  if (mapped.ok()) {
    mapped = map_at(*driver, device, address, bytes, memory);
    if (!mapped.ok()) driver->free_address(address, bytes);
  }
  // The mapping holds the memory from now on.
  driver->release(memory);
  LUNA_RETURN_IF_ERROR(mapped);
  return reinterpret_cast<void*>(address);
}

Status unmap(void* base, std::uint64_t bytes) {
  LUNA_ASSIGN_OR_RETURN(const DriverCalls* driver, driver_calls());
  const auto address = reinterpret_cast<CUdeviceptr>(base);
  LUNA_RETURN_IF_ERROR(driver->status(driver->unmap(address, bytes), "cuMemUnmap"));
  return driver->status(driver->free_address(address, bytes), "cuMemAddressFree");
}

}  // namespace luna::worker::vmm_import
