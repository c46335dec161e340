#include "daemon/worker/host/open_engine.h"

#include "common/log/log.h"
#include "daemon/worker/cuda/cuda_backend.h"
#include "daemon/worker/exchange/cuda_plane.h"
#include "daemon/worker/exchange/result_bytes.h"

namespace luna::worker {
namespace {

/// That of the settings' device; nullptr on the CPU, and where a GPU can share no memory.
Result<std::unique_ptr<DevicePlane>> open_plane(const WorkerSettings& settings) {
  if (settings.device == "cpu") return std::unique_ptr<DevicePlane>();
  LUNA_ASSIGN_OR_RETURN(const int index, cuda_index(settings.device));
  LUNA_ASSIGN_OR_RETURN(CudaBackend* const cuda, open_cuda(index));
  CudaPlaneOptions options;
  options.device = index;
  LUNA_ASSIGN_OR_RETURN(options.device_uuid, cuda->device_uuid(index));
  options.outbox_bytes = settings.cuda_outbox_bytes;
  options.imports.allocations = settings.cuda_imports;
  const Result<CudaSharing*> sharing = cuda->sharing(index);
  if (!sharing.ok()) {
    log::logger("host").warn("tensors pass through the host: {}", sharing.status().to_string());
    return std::unique_ptr<DevicePlane>();
  }
  return make_cuda_plane(**sharing, std::move(options));
}

}  // namespace

Result<std::unique_ptr<Engine>> open_engine(const WorkerSettings& settings,
                                            std::shared_ptr<HostCopies> copies) {
  LUNA_ASSIGN_OR_RETURN(std::unique_ptr<DevicePlane> plane, open_plane(settings));
  return Engine::open(settings, make_result_bytes, std::move(copies), std::move(plane));
}

}  // namespace luna::worker
