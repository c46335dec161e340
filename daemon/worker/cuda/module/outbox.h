#pragma once

#include <cstdint>

#include "daemon/worker/cuda/cuda_sharing.h"

// Memory and events that this process makes for others. The caller has made the device the
// thread's.
namespace luna::worker::outbox {

Result<CudaSharing::Exported> allocate(std::uint64_t bytes);
Status free(void* base);
Result<CudaSharing::Exported> make_event();

}  // namespace luna::worker::outbox
