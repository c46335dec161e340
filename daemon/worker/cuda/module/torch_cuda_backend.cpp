#include <cstdio>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>

#include "daemon/worker/cuda/cuda_backend.h"
#include "daemon/worker/cuda/module/cuda_status.h"
#include "daemon/worker/cuda/module/torch_cuda_sharing.h"

namespace luna::worker {
namespace {

template <class F>
Status without_exceptions(std::string_view what, F&& call) {
  try {
    return call();
  } catch (const c10::OutOfMemoryError& e) {
    return error(StatusCode::kResourceExhausted, "{}: {}", what, e.what_without_backtrace());
  } catch (const std::exception& e) {
    return error(StatusCode::kInternal, "{}: {}", what, e.what());
  }
}

class TorchCudaBackend final : public CudaBackend {
 public:
  Result<int> device_count() override {
    int count = 0;
    LUNA_RETURN_IF_ERROR(cuda_status(cudaGetDeviceCount(&count), "counting CUDA devices"));
    return count;
  }

  Result<std::string> device_name(int device) override {
    LUNA_ASSIGN_OR_RETURN(const cudaDeviceProp properties, properties_of(device));
    return std::string(properties.name);
  }

  Result<std::string> device_uuid(int device) override {
    LUNA_ASSIGN_OR_RETURN(const cudaDeviceProp properties, properties_of(device));
    std::string text = "GPU-";
    for (int i = 0; i < 16; ++i) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x",
                    static_cast<unsigned char>(properties.uuid.bytes[i]));
      text += digits;
      if (i == 3 || i == 5 || i == 7 || i == 9) text += '-';
    }
    return text;
  }

  Result<Memory> memory(int device) override {
    Memory memory;
    LUNA_RETURN_IF_ERROR(without_exceptions("asking for GPU memory", [&] {
      int previous = 0;
      LUNA_RETURN_IF_ERROR(cuda_status(cudaGetDevice(&previous), "cudaGetDevice"));
      LUNA_RETURN_IF_ERROR(cuda_status(cudaSetDevice(device), "cudaSetDevice"));
      std::size_t free = 0, total = 0;
      const Status asked = cuda_status(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
      cudaSetDevice(previous);
      LUNA_RETURN_IF_ERROR(asked);
      const auto stats =
          c10::cuda::CUDACachingAllocator::getDeviceStats(static_cast<c10::DeviceIndex>(device));
      const auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
      memory.total_bytes = total;
      memory.in_use_bytes = static_cast<std::uint64_t>(stats.allocated_bytes[all].current);
      memory.peak_bytes = static_cast<std::uint64_t>(stats.allocated_bytes[all].peak);
      const auto reserved = static_cast<std::uint64_t>(stats.reserved_bytes[all].current);
      memory.free_bytes = free + (reserved - std::min(reserved, memory.in_use_bytes));
      return Status();
    }));
    return memory;
  }

  Status set_device(int device) override {
    return without_exceptions("opening a CUDA device", [&] {
      LUNA_RETURN_IF_ERROR(cuda_status(cudaSetDevice(device), "cudaSetDevice"));
      at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
      return cuda_status(cudaFree(nullptr), "creating the CUDA context");
    });
  }

  Status synchronize(int device) override {
    LUNA_RETURN_IF_ERROR(cuda_status(cudaSetDevice(device), "cudaSetDevice"));
    return cuda_status(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }

  Status empty_cache() override {
    return without_exceptions("emptying the CUDA cache", [] {
      c10::cuda::CUDACachingAllocator::emptyCache();
      return Status();
    });
  }

  Result<CudaSharing*> sharing(int device) override { return torch_cuda_sharing(device); }

 private:
  static Result<cudaDeviceProp> properties_of(int device) {
    cudaDeviceProp properties{};
    LUNA_RETURN_IF_ERROR(
        cuda_status(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties"));
    return properties;
  }
};

}  // namespace
}  // namespace luna::worker

extern "C" __attribute__((visibility("default"))) int luna_cuda_module_version() {
  return luna::worker::kCudaModuleVersion;
}

extern "C" __attribute__((visibility("default"))) luna::worker::CudaBackend* luna_cuda_backend() {
  static luna::worker::TorchCudaBackend backend;
  return &backend;
}
