#include "daemon/worker/adapters/overlay.h"

#include <optional>

#include <fmt/format.h>

#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/weights/weight_loader.h"

namespace luna::worker {
namespace {

using Change = AdapterPlan::Change;

/// Low-rank changes of one weight that wait to be added together.
class LowRankSum {
 public:
  bool empty() const { return ups_.empty(); }
  void join(const LowRankProduct& product, double strength, const at::Tensor& weight) {
    ups_.push_back(f32_beside(product.up, weight) * (strength * product.scale));
    downs_.push_back(f32_beside(product.down, weight).flatten(1));
  }
  void add_to(at::Tensor& weight) {
    if (empty()) return;
    const at::Tensor up = ups_.size() == 1 ? ups_.front() : at::cat(ups_, 1);
    const at::Tensor down = downs_.size() == 1 ? downs_.front() : at::cat(downs_);
    weight.view({weight.size(0), -1}).addmm_(up, down);
    ups_.clear();
    downs_.clear();
  }

 private:
  std::vector<at::Tensor> ups_, downs_;
};

at::Tensor apply_to_part(const Change& change, at::Tensor weight) {
  if (change.transposed)
    return change.change->apply(weight.t().contiguous(), change.strength).t().contiguous();
  if (change.parts == 1) return change.change->apply(std::move(weight), change.strength);
  const std::int64_t rows = weight.size(0) / change.parts;
  at::Tensor slice = weight.narrow(0, change.part * rows, rows);
  slice.copy_(change.change->apply(slice.clone(), change.strength));
  return weight;
}

at::Tensor apply_all(const std::vector<Change>& changes, at::Tensor weight) {
  LowRankSum sum;
  for (const Change& change : changes) {
    const bool whole = change.parts == 1 && !change.transposed;
    const std::optional<LowRankProduct> product =
        whole ? change.change->product(weight.sizes()) : std::nullopt;
    if (product) {
      sum.join(*product, change.strength, weight);
      continue;
    }
    sum.add_to(weight);
    weight = apply_to_part(change, std::move(weight));
  }
  sum.add_to(weight);
  return weight;
}

}  // namespace

Result<WeightStore::Tensors> make_overlay(const AdapterPlan& plan, const HostWeights& pristine,
                                          at::ScalarType storage, at::Device device) {
  WeightStore::Tensors changed;
  for (const auto& [name, changes] : plan.changes) {
    LUNA_ASSIGN_OR_RETURN(
        at::Tensor weight, torch_call(fmt::format("adapting '{}'", name), [&] {
          return apply_all(changes, pristine_f32(pristine, name, device)).to(storage);
        }));
    changed.emplace(name, std::move(weight));
  }
  return changed;
}

}  // namespace luna::worker
