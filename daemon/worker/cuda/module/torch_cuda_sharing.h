#pragma once

#include "daemon/worker/cuda/cuda_sharing.h"

namespace luna::worker {

/// The one of this device, made at the first call; FAILED_PRECONDITION where the device's address
/// space is not the unified one that CUDA IPC needs.
Result<CudaSharing*> torch_cuda_sharing(int device);

}  // namespace luna::worker
