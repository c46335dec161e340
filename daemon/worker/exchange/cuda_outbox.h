#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/types/tensor.h"
#include "daemon/worker/cuda/cuda_sharing.h"

namespace luna::worker {

/// One slab of GPU memory whose pieces other processes read and write: results, and memory for
/// clients whose allocator cannot export. It is allocated when somebody first asks, exported once,
/// and stays for the life of the process: a peer that has it open must never meet memory that was
/// freed. A piece is a lease of a session; it is free again when it was released and no job of this
/// worker uses it. What a client does on the device it must have ended before it releases.
/// Thread-safe.
class CudaOutbox {
 public:
  /// `bytes`: of the slab; 0: no lease is ever given.
  CudaOutbox(CudaSharing& sharing, int device, std::string device_uuid, std::uint64_t bytes);
  ~CudaOutbox();
  CudaOutbox(const CudaOutbox&) = delete;
  CudaOutbox& operator=(const CudaOutbox&) = delete;

  struct Lease {
    CudaHandle handle;  ///< with lease_id; its event_handle comes with publish()
    void* data = nullptr;
  };
  /// RESOURCE_EXHAUSTED when no piece is large enough, naming what is free; INVALID_ARGUMENT for 0
  /// bytes.
  Result<Lease> lease(std::uint64_t bytes, const std::string& session);
  /// Records the lease's event after everything on the stream so far, and fills
  /// handle.event_handle.
  Status publish(Lease& lease);

  /// Whether the handle is this slab's own, which a process cannot open as another one's.
  bool owns(const CudaHandle& handle) const;
  /// As CudaImports::use for a piece of the own slab. NOT_FOUND where no lease lies,
  /// PERMISSION_DENIED for another session's, INVALID_ARGUMENT beyond its end.
  Result<std::shared_ptr<const CudaMapping>> use(const CudaHandle& handle, std::uint64_t length,
                                                 const std::string& session);

  /// Unknown ids are passed over.
  void release(const std::vector<std::string>& lease_ids);
  void end_session(const std::string& session);

  std::uint64_t free_bytes() const;
  std::size_t leases() const;

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace luna::worker
