#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "daemon/worker/cuda/cuda_sharing.h"
#include "daemon/worker/exchange/cuda_imports.h"
#include "daemon/worker/ops/device_plane.h"

namespace luna::worker {

struct CudaPlaneOptions {
  int device = 0;  ///< index of the CUDA device; -1: host memory (a scripted device of a test)
  std::string device_uuid;
  std::uint64_t outbox_bytes = 0;  ///< 0: no results and no leases on the device
  CudaImports::Limits imports;
};

/// The plane of a GPU: imports (CudaImports) and an outbox (CudaOutbox). `sharing` must outlive it
/// and every tensor of it.
std::unique_ptr<DevicePlane> make_cuda_plane(CudaSharing& sharing, CudaPlaneOptions options);

}  // namespace luna::worker
