#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.h"

namespace luna::worker {

/// What crosses processes on one GPU: memory, and the order of work on it. Plain types; one object
/// a device, which makes it the calling thread's device in every call. "The stream" is libtorch's
/// current one of the calling thread: the engine's work goes there. Nothing here waits for the
/// device unless it says so. Not thread-safe.
class CudaSharing {
 public:
  virtual ~CudaSharing() = default;

  // --- memory of other processes ---
  /// cudaIpcOpenMemHandle: the begin of the allocation. Slow, and slower the larger the allocation.
  /// INVALID_ARGUMENT when the driver does not know the handle (its owner is gone, or is this
  /// process).
  virtual Result<void*> open_memory(const std::string& handle) = 0;
  /// May wait for the device. No work on the memory may be left.
  virtual Status close_memory(void* base) = 0;
  /// Size of the allocation that `base` is the begin of, as the driver says.
  virtual Result<std::uint64_t> allocation_bytes(void* base) = 0;
  /// Maps memory that cuMemExportToShareableHandle exported as a descriptor, which stays the
  /// caller's; `bytes`: its whole size, a multiple of the device's granularity.
  virtual Result<void*> map_descriptor(int fd, std::uint64_t bytes) = 0;
  virtual Status unmap_descriptor(void* base, std::uint64_t bytes) = 0;

  // --- events of other processes ---
  virtual Result<void*> open_event(const std::string& handle) = 0;
  virtual Status close_event(void* event) = 0;
  /// What comes next on the stream waits for what the event was last recorded after.
  virtual Status wait_event(void* event) = 0;

  // --- memory and events for other processes ---
  struct Exported {
    void* object = nullptr;
    std::string handle;  ///< 64 bytes
  };
  /// cudaMalloc, never libtorch's caching allocator: that one may free, split or re-use a block
  /// which a peer has mapped.
  virtual Result<Exported> allocate(std::uint64_t bytes) = 0;
  virtual Status free(void* base) = 0;
  virtual Result<Exported> make_event() = 0;
  /// After everything on the stream so far.
  virtual Status record_event(void* event) = 0;

  // --- bytes ---
  /// On the stream; either side may be host memory, then the call returns when the copy is done.
  virtual Status copy(void* to, const void* from, std::uint64_t bytes) = 0;

  // --- the end of work ---
  /// A mark after everything on the stream so far.
  virtual Result<void*> mark() = 0;
  virtual Result<bool> passed(void* mark) = 0;
  /// Waits until the mark is passed.
  virtual Status wait(void* mark) = 0;
  virtual void drop(void* mark) = 0;
};

}  // namespace luna::worker
