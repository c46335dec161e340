#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {
namespace {

/// A tensor of the weight's own shape: added to it, or in its place.
class Whole final : public WeightChange {
 public:
  Whole(at::Tensor tensor, bool replaces) : tensor_(std::move(tensor)), replaces_(replaces) {}

  Status fits(at::IntArrayRef weight) const override {
    if (tensor_.sizes() == weight) return {};
    return misfit(weight, "the same shape", fmt::format("{} numbers", tensor_.numel()));
  }
  at::Tensor apply(at::Tensor weight, double strength) const override {
    const at::Tensor value = f32_beside(tensor_, weight);
    return replaces_ ? value : weight.add_(value, strength);
  }
  std::uint64_t bytes() const override { return tensor_.nbytes(); }

 private:
  const at::Tensor tensor_;
  const bool replaces_;
};

}  // namespace

WeightChangePtr make_difference(at::Tensor difference) {
  return std::make_shared<Whole>(std::move(difference), false);
}

WeightChangePtr make_replacement(at::Tensor value) {
  return std::make_shared<Whole>(std::move(value), true);
}

}  // namespace luna::worker
