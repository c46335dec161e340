#include "daemon/worker/engine/device.h"

#include <algorithm>
#include <thread>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "common/log/log.h"
#include "daemon/worker/engine/memory.h"

namespace luna::worker {
namespace {

constexpr int kMaxThreads = 1024;

}  // namespace

Result<ComputeDevice> ComputeDevice::open(const WorkerSettings& settings) {
  if (settings.threads < 0 || settings.threads > kMaxThreads) {
    return error(StatusCode::kInvalidArgument, "threads: expected 0..{}, found {}", kMaxThreads,
                 settings.threads);
  }
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int threads = settings.threads > 0 ? settings.threads : cores;
  if (settings.device == "cpu") {
    return ComputeDevice(at::kCPU, threads, nullptr,
                         fmt::format("cpu ({} thread{})", threads, threads == 1 ? "" : "s"), "");
  }
  LUNA_ASSIGN_OR_RETURN(const int index, cuda_index(settings.device));
  LUNA_ASSIGN_OR_RETURN(CudaBackend* const cuda, open_cuda(index));
  LUNA_ASSIGN_OR_RETURN(const std::string name, cuda->device_name(index));
  LUNA_ASSIGN_OR_RETURN(const std::string uuid, cuda->device_uuid(index));
  return ComputeDevice(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)), threads, cuda,
                       fmt::format("cuda:{} {}", index, name), uuid);
}

std::uint64_t ComputeDevice::free_bytes() const {
  std::uint64_t free = 0;
  if (cuda_) {
    const auto memory = cuda_->memory(device_.index());
    free = memory.ok() ? memory->free_bytes : 0;
  } else {
    free = available_host_bytes();
  }
  return free / 10 * 9;
}

bool ComputeDevice::failed() const {
  // An error of one call is gone when it was told once; one of the context never is.
  return cuda_ && !cuda_->synchronize(device_.index()).ok() &&
         !cuda_->synchronize(device_.index()).ok();
}

std::uint64_t ComputeDevice::resident_bytes() const {
  if (!cuda_) return resident_host_bytes();
  const auto memory = cuda_->memory(device_.index());
  return memory.ok() ? memory->in_use_bytes : 0;
}

std::uint64_t ComputeDevice::peak_resident_bytes() const {
  if (!cuda_) return peak_resident_host_bytes();
  const auto memory = cuda_->memory(device_.index());
  return memory.ok() ? memory->peak_bytes : 0;
}

void ComputeDevice::release_reserve() const {
  if (!cuda_) return;
  const Status status = cuda_->empty_cache();
  if (!status.ok()) log::logger("engine").warn("{}", status.to_string());
}

void ComputeDevice::prepare_thread() const {
  at::set_num_threads(threads_);
  if (!cuda_) return;
  const Status status = cuda_->set_device(device_.index());
  if (!status.ok()) log::logger("engine").error("{}", status.to_string());
}

}  // namespace luna::worker
