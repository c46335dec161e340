#pragma once

#include <string_view>

#include <cuda_runtime_api.h>

#include "common/base/status.h"

namespace luna::worker {

/// What a call of the CUDA runtime answered, as a Status that names the call. Takes the runtime's
/// remembered error with it.
Status cuda_status(cudaError_t code, std::string_view what);

/// Makes a device the calling thread's for its own life: a call without it would create a context
/// on device 0.
class DeviceScope {
 public:
  explicit DeviceScope(int device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  const Status& status() const { return status_; }

 private:
  int previous_ = -1;
  Status status_;
};

}  // namespace luna::worker
