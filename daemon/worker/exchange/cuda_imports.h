#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/types/tensor.h"
#include "daemon/worker/cuda/cuda_sharing.h"

namespace luna::worker {

/// GPU memory of other processes that this one has mapped. Each allocation is opened once, whatever
/// tensors lie in it: opening takes milliseconds and grows with the allocation. The key is the
/// handle (or the region), never an address: memory that was freed and made anew at one address has
/// another handle. An allocation is closed when no tensor uses it, the device has passed the work
/// on it, and either its last session ended or its place is needed. Thread-safe; the last mapping
/// may outlive it.
class CudaImports {
 public:
  struct Limits {
    std::size_t allocations = 64;
    std::size_t events = 1024;
  };
  struct Counters {
    std::uint64_t opened = 0, hits = 0, closed = 0, events_opened = 0, event_waits = 0;
    bool operator==(const Counters&) const = default;
  };

  /// `device`: CudaMapping::device of what it maps. `sharing` must outlive every mapping.
  CudaImports(CudaSharing& sharing, int device, Limits limits);
  CudaImports(CudaSharing& sharing, int device) : CudaImports(sharing, device, Limits{}) {}
  /// Waits for the work on what it closes.
  ~CudaImports();
  CudaImports(const CudaImports&) = delete;
  CudaImports& operator=(const CudaImports&) = delete;

  /// The `length` bytes that the handle names, and everything later on the stream ordered after its
  /// event. INVALID_ARGUMENT when they do not lie within the allocation as the driver knows it, or
  /// the driver refuses the handle; RESOURCE_EXHAUSTED when as many allocations as allowed are in
  /// use.
  Result<std::shared_ptr<const CudaMapping>> use(const CudaHandle& handle, std::uint64_t length,
                                                 const std::string& session);
  /// Closes what only this session has used, now or when the work on it has passed.
  void end_session(const std::string& session);
  /// Closes what waited for the device and need not any more. Cheap.
  void sweep();

  std::size_t open_allocations() const;
  Counters counters() const;

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace luna::worker
