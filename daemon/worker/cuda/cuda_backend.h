#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "daemon/worker/cuda/cuda_sharing.h"

namespace luna::worker {

/// What libluna_cuda.so does for a worker beyond registering libtorch's CUDA kernels. Plain types
/// only, so that neither side needs the other's headers. Methods throw nothing; a failed CUDA call
/// is a Status.
class CudaBackend {
 public:
  struct Memory {
    std::uint64_t free_bytes =
        0;  ///< the driver's free memory plus what libtorch has cached and unused
    std::uint64_t total_bytes = 0;
    std::uint64_t in_use_bytes = 0;  ///< held by tensors of this process
    std::uint64_t peak_bytes = 0;    ///< the largest in_use_bytes since the start
  };

  virtual ~CudaBackend() = default;
  virtual Result<int> device_count() = 0;
  virtual Result<std::string> device_name(int device) = 0;
  /// "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", as nvidia-smi prints it.
  virtual Result<std::string> device_uuid(int device) = 0;
  virtual Result<Memory> memory(int device) = 0;
  /// Makes it the calling thread's device and creates its context.
  virtual Status set_device(int device) = 0;
  /// Waits for all work of the device.
  virtual Status synchronize(int device) = 0;
  /// Gives cached, unused blocks back to the driver.
  virtual Status empty_cache() = 0;
  /// Memory and events that cross processes; lives as long as the process. FAILED_PRECONDITION
  /// where the platform has no CUDA IPC.
  virtual Result<CudaSharing*> sharing(int device) = 0;
};

/// Raised with every change of CudaBackend or CudaSharing; the module and the worker must agree.
inline constexpr int kCudaModuleVersion = 2;

/// Opens libluna_cuda.so (once a process; it stays open) and checks that device `device` is there.
/// `module_path`: empty for the file beside the executable. NOT_FOUND when the file is not there,
/// or cannot be loaded; FAILED_PRECONDITION without a driver, for a device beyond the count, or a
/// module of another version. The object lives as long as the process.
Result<CudaBackend*> open_cuda(int device, const std::string& module_path = {});

/// The number in "cuda:<n>" ("cuda" alone is 0). INVALID_ARGUMENT for anything else.
Result<int> cuda_index(const std::string& device);

}  // namespace luna::worker
