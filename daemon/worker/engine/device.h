#pragma once

#include <cstdint>
#include <string>

#include <ATen/ATen.h>

#include "common/types/worker_settings.h"
#include "daemon/worker/cuda/cuda_backend.h"

namespace luna::worker {

/// The device that an engine runs on. Answers are thread-safe.
class ComputeDevice {
 public:
  /// Opens what settings.device names; for a GPU that loads libluna_cuda.so.
  static Result<ComputeDevice> open(const WorkerSettings& settings);

  at::Device device() const { return device_; }
  /// "cpu (2 threads)", "cuda:0 NVIDIA H200".
  const std::string& description() const { return description_; }
  /// "GPU-..."; empty on CPU.
  const std::string& uuid() const { return uuid_; }
  /// Bytes that one forward's activations may take now; a margin is left to others.
  std::uint64_t free_bytes() const;
  /// Of the process on CPU, of the device on a GPU.
  std::uint64_t resident_bytes() const;
  /// The largest resident_bytes() since the start.
  std::uint64_t peak_resident_bytes() const;
  /// Gives memory that this process holds in reserve back to the device's other users.
  void release_reserve() const;
  /// Engine::device_failed.
  bool failed() const;
  /// Makes it the calling thread's device and sets that thread's share of cores.
  void prepare_thread() const;

 private:
  ComputeDevice(at::Device device, int threads, CudaBackend* cuda, std::string description,
                std::string uuid)
      : device_(device),
        threads_(threads),
        cuda_(cuda),
        description_(std::move(description)),
        uuid_(std::move(uuid)) {}

  at::Device device_;
  int threads_ = 1;
  CudaBackend* cuda_ = nullptr;  ///< null on CPU
  std::string description_;
  std::string uuid_;
};

}  // namespace luna::worker
