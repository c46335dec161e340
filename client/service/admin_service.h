#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/deadline.h"
#include "common/types/info.h"
#include "common/types/job.h"
#include "common/types/tensor.h"

namespace luna::client {

/// A tensor and its bytes, which live as long as any copy of the reference.
struct WritableTensor {
  TensorRef tensor;
  std::span<std::byte> bytes;
};

/// The port for everything that is not inference. Blocking, thread-safe; every call has a deadline
/// (30 s unless said otherwise).
class AdminService {
 public:
  virtual ~AdminService() = default;
  virtual Result<WorkflowInfo> register_workflow(const std::string& id,
                                                 const RequestedModels& models,
                                                 std::uint32_t ttl_seconds, bool preload,
                                                 Deadline deadline = Deadline()) = 0;
  virtual Result<std::uint32_t> renew_workflow(const std::string& id) = 0;
  virtual Status release_workflow(const std::string& id) = 0;
  virtual Result<std::vector<WorkflowInfo>> list_workflows() = 0;

  struct Models {
    std::vector<ModelFileInfo> files;
    std::vector<LoadedModel> loaded;
  };
  virtual Result<Models> list_models(const std::string& folder) = 0;
  virtual Result<std::vector<ComponentInfo>> inspect_model(const std::string& file) = 0;
  /// Names, types and shapes of a model's weights, by name, as its files' headers have them.
  virtual Result<std::vector<NamedTensor>> list_model_tensors(const std::string& file) = 0;
  virtual Result<LoadedModel> load_model(Slot slot, const ModelRef& model) = 0;
  /// Off the devices of all workers; `host`: the host copies too.
  virtual Result<UnloadModelReply> unload_model(const std::string& file, bool host) = 0;
  /// Off the devices, to be restored; nullopt: all components of the file.
  virtual Result<UnloadModelReply> offload_model(const std::string& file,
                                                 std::optional<Slot> slot) = 0;
  virtual Result<RestoreModelReply> restore_model(const std::string& file) = 0;
  /// Both answer the file's absolute path on the daemon's machine.
  virtual Result<std::string> pin_model(const std::string& file) = 0;
  virtual Result<std::string> unpin_model(const std::string& file) = 0;

  /// Puts a LoRA file of this machine on the server, unless its content is there already; what
  /// LoraRef::path takes ("sha256:...").
  virtual Result<std::string> upload_adapter(const std::string& path) = 0;

  /// A tensor to be filled, and then to be named in calls. Where client and server share memory it
  /// lies there, and nothing is copied on its way; elsewhere it lies on the heap. Its content is
  /// undefined at first. Who writes to it while a call uses it changes that call's result.
  virtual Result<WritableTensor> allocate(const TensorSpec& spec) = 0;
  virtual Result<TensorRef> upload(const std::string& workflow_id,
                                   const TensorRef& host_tensor) = 0;
  virtual Result<TensorRef> download(const std::string& workflow_id,
                                     const std::string& resident_id) = 0;
  virtual Result<std::uint64_t> free_tensors(const std::string& workflow_id,
                                             const std::vector<std::string>& ids) = 0;
  virtual Result<StatusInfo> status() = 0;
};

}  // namespace luna::client
