#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/base/status.h"
#include "daemon/worker/adapters/adapter_plan.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// Which of the weights that a plan changes lie in an overlay's own memory, and where in it: those
/// that run as they lie. What is packed, or put in NHWC order, is not among them: it gets memory of
/// its own then.
struct OverlayLayout {
  struct Part {
    std::vector<std::int64_t> shape;
    at::ScalarType type = at::kFloat;  ///< in which it runs
    std::uint64_t offset = 0;
    bool operator==(const Part&) const = default;
  };
  std::map<std::string, Part> parts;
  std::uint64_t bytes = 0;
  bool operator==(const OverlayLayout&) const = default;

  /// `running`: what runs of the component below, by names (running_weights_of()).
  static OverlayLayout of(const AdapterPlan& plan, const WeightStore::Tensors& running);
};

/// One piece of memory at one address, for overlays of one layout, one after the other. On the CPU
/// in large pages where the system has them, so that it costs few page faults.
class OverlayMemory : public std::enable_shared_from_this<OverlayMemory> {
 public:
  /// RESOURCE_EXHAUSTED.
  static Result<std::shared_ptr<OverlayMemory>> allocate(OverlayLayout layout, at::Device device);

  const OverlayLayout& layout() const { return layout_; }
  const void* address() const { return bytes_.const_data_ptr(); }
  /// Views of its parts, with whatever is there; each keeps the memory.
  WeightStore::Tensors tensors();

 private:
  OverlayMemory(OverlayLayout layout, at::Tensor bytes)
      : layout_(std::move(layout)), bytes_(std::move(bytes)) {}

  const OverlayLayout layout_;
  const at::Tensor bytes_;
};

}  // namespace luna::worker
