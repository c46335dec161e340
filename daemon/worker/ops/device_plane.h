#pragma once

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/job.h"

namespace luna::worker {

/// How tensors cross between this worker's device and clients without passing through the host.
/// Called on the device thread.
class DevicePlane {
 public:
  virtual ~DevicePlane() = default;

  /// Makes every CUDA handle of a request addressable (CudaHandle::mapping) and puts the wait for
  /// its event before whatever comes next on the stream. Errors name the tensor.
  virtual Status bring_in(JobRequest& request, const std::string& session) = 0;

  /// A copy of the tensor in the outbox, with an event after it. RESOURCE_EXHAUSTED when there is
  /// no room.
  virtual Result<TensorRef> send_out(const at::Tensor& tensor, const std::string& session) = 0;
  /// Memory of the outbox for a client to write.
  virtual Result<LeaseCudaReply> lease(const LeaseCudaRequest& request,
                                       const std::string& session) = 0;
  /// Reads the client's number and writes one of its own. The request was brought in.
  virtual Result<ProveCudaReply> prove(const ProveCudaRequest& request,
                                       const std::string& session) = 0;

  /// Ends leases; unknown ones are passed over.
  virtual void release(const std::vector<std::string>& lease_ids) = 0;
  /// Ends the session's leases, and closes what it alone had opened.
  virtual void end_session(const std::string& session) = 0;
};

}  // namespace luna::worker
