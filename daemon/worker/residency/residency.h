#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/model.h"
#include "daemon/worker/residency/model_source.h"

namespace luna::worker {

/// A component in memory. Holding a ModelHandle pins it: it is not evicted or unloaded.
struct ResidentModel {
  Component model;
  ComponentInfo info;  ///< with its content hash
  Precision precision = Precision::kF32;
};
using ModelHandle = std::shared_ptr<const ResidentModel>;

/// The models of one device: loaded when first asked for, on a thread of their own; one copy of
/// each content and precision however many files hold it; evicted, least recently used and unpinned
/// ones first, when a budget is set. A file is looked at (stat) with every use: a changed one is
/// another model.
class Residency {
 public:
  struct Options {
    at::Device device = at::kCPU;
    std::uint64_t budget_bytes = 0;  ///< of weights; 0: no limit
    std::chrono::milliseconds pin_wait{
        60'000};                           ///< how long a load waits for pinned models to be let go
    std::function<void()> prepare_thread;  ///< runs first on the loading thread
  };
  Residency(Options options, std::unique_ptr<ModelSource> source);
  /// Loads that wait are dropped without an answer. Handles may outlive this object.
  ~Residency();

  /// Calls `done` once: at once when the model is resident, else from the loading thread.
  /// NOT_FOUND; FAILED_PRECONDITION when the file has no such component (and what it has);
  /// RESOURCE_EXHAUSTED when it does not fit the budget; and what reading and building answer.
  void acquire(Slot slot, const ModelRef& model, std::function<void(Result<ModelHandle>)> done);

  /// What is in a file; content hashes of components that were loaded from it.
  void inspect(const std::string& path,
               std::function<void(Result<std::vector<ComponentInfo>>)> done);

  /// Unloads the unpinned components that came from this path; the bytes that were freed.
  std::uint64_t unload(const std::string& path);

  std::vector<LoadedModel> loaded() const;
  /// The line of loaded() for this model, if it is still here.
  LoadedModel describe(const ModelHandle& model) const;
  std::uint64_t resident_bytes() const;

 private:
  class Shelf;
  std::shared_ptr<Shelf> shelf_;
};

}  // namespace luna::worker
