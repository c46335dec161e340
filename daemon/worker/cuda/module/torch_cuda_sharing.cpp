#include "daemon/worker/cuda/module/torch_cuda_sharing.h"

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "daemon/worker/cuda/module/cuda_status.h"
#include "daemon/worker/cuda/module/ipc_import.h"
#include "daemon/worker/cuda/module/outbox.h"
#include "daemon/worker/cuda/module/vmm_import.h"

namespace luna::worker {
namespace {

cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

class TorchCudaSharing final : public CudaSharing {
 public:
  explicit TorchCudaSharing(int device) : device_(device) {}

  Result<void*> open_memory(const std::string& handle) override {
    return on_device<Result<void*>>([&] { return ipc_import::open_memory(handle); });
  }
  Status close_memory(void* base) override {
    return on_device<Status>([&] { return ipc_import::close_memory(base); });
  }
  Result<std::uint64_t> allocation_bytes(void* base) override {
    return on_device<Result<std::uint64_t>>([&] { return ipc_import::allocation_bytes(base); });
  }
  Result<void*> map_descriptor(int fd, std::uint64_t bytes) override {
    return on_device<Result<void*>>([&] { return vmm_import::map(device_, fd, bytes); });
  }
  Status unmap_descriptor(void* base, std::uint64_t bytes) override {
    return on_device<Status>([&] { return vmm_import::unmap(base, bytes); });
  }

  Result<void*> open_event(const std::string& handle) override {
    return on_device<Result<void*>>([&] { return ipc_import::open_event(handle); });
  }
  Status close_event(void* event) override {
    return on_device<Status>([&] { return ipc_import::close_event(event); });
  }
  Status wait_event(void* event) override {
    return on_device<Status>([&] {
      return cuda_status(cudaStreamWaitEvent(stream(), event_of(event), 0), "cudaStreamWaitEvent");
    });
  }

  Result<Exported> allocate(std::uint64_t bytes) override {
    return on_device<Result<Exported>>([&] { return outbox::allocate(bytes); });
  }
  Status free(void* base) override {
    return on_device<Status>([&] { return outbox::free(base); });
  }
  Result<Exported> make_event() override {
    return on_device<Result<Exported>>([&] { return outbox::make_event(); });
  }
  Status record_event(void* event) override {
    return on_device<Status>(
        [&] { return cuda_status(cudaEventRecord(event_of(event), stream()), "cudaEventRecord"); });
  }

  Status copy(void* to, const void* from, std::uint64_t bytes) override {
    return on_device<Status>([&]() -> Status {
      LUNA_RETURN_IF_ERROR(cuda_status(
          cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream()), "cudaMemcpyAsync"));
      if (on_gpu(to) && on_gpu(from)) return {};
      return cuda_status(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
    });
  }

  Result<void*> mark() override {
    return on_device<Result<void*>>([&]() -> Result<void*> {
      cudaEvent_t event = nullptr;
      if (idle_marks_.empty()) {
        LUNA_RETURN_IF_ERROR(cuda_status(cudaEventCreateWithFlags(&event, cudaEventDisableTiming),
                                         "cudaEventCreateWithFlags"));
      } else {
        event = idle_marks_.back();
        idle_marks_.pop_back();
      }
      if (const Status recorded = cuda_status(cudaEventRecord(event, stream()), "cudaEventRecord");
          !recorded.ok()) {
        cudaEventDestroy(event);
        return recorded;
      }
      return static_cast<void*>(event);
    });
  }
  Result<bool> passed(void* mark) override {
    return on_device<Result<bool>>([&]() -> Result<bool> {
      const cudaError_t code = cudaEventQuery(event_of(mark));
      if (code == cudaErrorNotReady) {
        cudaGetLastError();
        return false;
      }
      LUNA_RETURN_IF_ERROR(cuda_status(code, "cudaEventQuery"));
      return true;
    });
  }
  Status wait(void* mark) override {
    return on_device<Status>(
        [&] { return cuda_status(cudaEventSynchronize(event_of(mark)), "cudaEventSynchronize"); });
  }
  void drop(void* mark) override { idle_marks_.push_back(event_of(mark)); }

 private:
  template <class R, class F>
  R on_device(F&& call) {
    const DeviceScope scope(device_);
    if (!scope.status().ok()) return scope.status();
    return call();
  }

  cudaStream_t stream() const {
    return c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device_)).stream();
  }

  static bool on_gpu(const void* pointer) {
    cudaPointerAttributes attributes{};
    const bool known = cudaPointerGetAttributes(&attributes, pointer) == cudaSuccess;
    if (!known) cudaGetLastError();
    return known && attributes.type == cudaMemoryTypeDevice;
  }

  const int device_;
  std::vector<cudaEvent_t> idle_marks_;
};

}  // namespace

Result<CudaSharing*> torch_cuda_sharing(int device) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<TorchCudaSharing>> made;
  int unified = 0;
  LUNA_RETURN_IF_ERROR(
      cuda_status(cudaDeviceGetAttribute(&unified, cudaDevAttrUnifiedAddressing, device),
                  "cudaDeviceGetAttribute"));
  if (!unified) {
    return error(StatusCode::kFailedPrecondition,
                 "device cuda:{} has no unified address space, which CUDA IPC needs", device);
  }
  std::lock_guard lock(mutex);
  auto& sharing = made[device];
  if (!sharing) sharing = std::make_unique<TorchCudaSharing>(device);
  return sharing.get();
}

}  // namespace luna::worker
