#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/worker/engine/row_batcher.h"

namespace luna::worker {

/// A denoising model whose output row is its input row times two plus the mean of its context:
/// repeating a context changes nothing, and a row sees nothing of its neighbours. Notes the shape
/// of every forward.
class FakeUnet final : public DenoisingModel {
 public:
  const DenoiserTraits& traits() const override { return traits_; }
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timestep, const at::Tensor& context,
                     const std::map<std::string, at::Tensor>&,
                     const AdapterRows& adapters) const override {
    with_adapters.push_back(!adapters.empty());
    rows_of_forwards.push_back(static_cast<int>(x.size(0)));
    tokens_of_forwards.push_back(static_cast<int>(context.size(1)));
    TORCH_CHECK(timestep.size(0) == x.size(0) && context.size(0) == x.size(0));
    if (before_forward) before_forward(x);
    return x * 2 + context.mean({1, 2}).view({-1, 1, 1, 1});
  }
  at::ScalarType compute_type() const override { return at::kFloat; }
  at::Device device() const override { return at::kCPU; }
  std::uint64_t resident_bytes() const override { return 0; }
  std::uint64_t activation_bytes(int rows, int, int, int) const override {
    return static_cast<std::uint64_t>(rows) * 1000;
  }

  DenoiserTraits traits_ = [] {
    DenoiserTraits traits;
    traits.family = "sd1";
    traits.context_width = 8;
    return traits;
  }();
  std::function<void(const at::Tensor& x)> before_forward;  ///< may throw
  mutable std::vector<int> rows_of_forwards, tokens_of_forwards;
  mutable std::vector<bool> with_adapters;
};

/// Collects what the batcher hands out.
class FakeSink final : public RowSink {
 public:
  explicit FakeSink(std::string workflow = "a", Priority priority = Priority::kNormal,
                    std::uint64_t order = 0)
      : workflow_(std::move(workflow)), urgency_{priority, 0, order} {}
  Urgency urgency() const override { return urgency_; }
  const std::string& workflow() const override { return workflow_; }
  void row_done(std::size_t index, RowResult result) override {
    done[index] = std::move(result);
    if (on_result) on_result();
  }
  void row_failed(std::size_t index, const Status& status) override {
    failed.emplace(index, status);
    if (on_result) on_result();
  }

  std::map<std::size_t, RowResult> done;
  std::map<std::size_t, Status> failed;
  std::function<void()> on_result;
  std::string workflow_;
  Urgency urgency_;
};

inline ModelRow fake_row(const FakeUnet& model, float value, int tokens = 77, int size = 4) {
  return {&model, at::full({1, 4, size, size}, value), 1.0f, at::full({1, tokens, 8}, value), {},
          {}};
}

}  // namespace luna::worker
