#include "daemon/worker/adapters/overlay.h"

#include <optional>

#include <fmt/format.h>

#include "daemon/worker/ops/low_rank.h"
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
  /// result = weight + what waits; f32, of one shape, `result` may be `weight`. Nothing waits then.
  ops::LowRankAddition to(const at::Tensor& weight, const at::Tensor& result) {
    const at::Tensor up = ups_.size() == 1 ? ups_.front() : at::cat(ups_, 1);
    const at::Tensor down = downs_.size() == 1 ? downs_.front() : at::cat(downs_);
    const auto matrix = [](const at::Tensor& whole) { return whole.view({whole.size(0), -1}); };
    ups_.clear();
    downs_.clear();
    return {matrix(weight), up.contiguous(), down.contiguous(), matrix(result)};
  }
  void add_to(const at::Tensor& weight) { ops::add_low_rank({to(weight, weight)}); }

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

std::optional<LowRankProduct> product_of(const Change& change, const at::Tensor& weight) {
  const bool whole = change.parts == 1 && !change.transposed;
  return whole ? change.change->product(weight.sizes()) : std::nullopt;
}

/// Begins with what is in `result`, f32, and leaves what becomes of it there.
void apply_all(const std::vector<Change>& changes, const at::Tensor& result) {
  LowRankSum sum;
  for (const Change& change : changes) {
    if (const auto product = product_of(change, result)) {
      sum.join(*product, change.strength, result);
      continue;
    }
    if (!sum.empty()) sum.add_to(result);
    const at::Tensor changed = apply_to_part(change, result);
    if (!changed.is_same(result)) at::Tensor(result).copy_(changed);
  }
  if (!sum.empty()) sum.add_to(result);
}

/// The common case: to a weight that lies where it is needed low-rank changes alone are added.
std::optional<ops::LowRankAddition> addition_of(const std::vector<Change>& changes,
                                                const at::Tensor& pristine,
                                                const at::Tensor& result) {
  if (pristine.device() != result.device()) return std::nullopt;
  LowRankSum sum;
  for (const Change& change : changes) {
    const auto product = product_of(change, pristine);
    if (!product) return std::nullopt;
    sum.join(*product, change.strength, pristine);
  }
  return sum.to(pristine, result);
}

/// Additions of many weights, done together.
class Additions {
 public:
  void join(ops::LowRankAddition addition) {
    bytes_ += addition.up.nbytes() + addition.down.nbytes();
    waiting_.push_back(std::move(addition));
    if (bytes_ > kMostFactors) run();
  }
  void run() {
    ops::add_low_rank(waiting_);
    waiting_.clear();
    bytes_ = 0;
  }

 private:
  /// Factors in f32 wait in memory of their own.
  static constexpr std::uint64_t kMostFactors = 64 << 20;
  std::vector<ops::LowRankAddition> waiting_;
  std::uint64_t bytes_ = 0;
};

/// Into `place`, or anywhere if it is undefined. What comes back has its values once `additions`
/// have run.
at::Tensor adapted(const std::vector<Change>& changes, const at::Tensor& pristine,
                   at::ScalarType storage, at::Device device, const at::Tensor& place,
                   Additions& additions) {
  // Sums are f32: made where they shall lie, if that is f32.
  const bool in_place = place.defined() && place.scalar_type() == at::kFloat;
  const at::Tensor sum =
      in_place ? place
               : at::empty(pristine.sizes(), at::TensorOptions().dtype(at::kFloat).device(device));
  if (auto addition = addition_of(changes, pristine, sum)) {
    additions.join(std::move(*addition));
    if (storage == at::kFloat && (in_place || !place.defined())) return sum;
    additions.run();
  } else {
    at::Tensor(sum).copy_(pristine);
    apply_all(changes, sum);
  }
  const at::Tensor rounded = sum.to(storage);
  if (!place.defined()) return rounded;
  if (!rounded.is_same(place)) at::Tensor(place).copy_(rounded);
  return place;
}

}  // namespace

Result<WeightStore::Tensors> make_overlay(const AdapterPlan& plan, const HostWeights& pristine,
                                          at::ScalarType storage, at::Device device,
                                          const WeightStore::Tensors& places) {
  WeightStore::Tensors changed;
  Additions additions;
  for (const auto& [name, changes] : plan.changes) {
    const auto place = places.find(name);
    LUNA_ASSIGN_OR_RETURN(at::Tensor weight, torch_call(fmt::format("adapting '{}'", name), [&] {
                            return adapted(
                                changes, pristine_tensor(pristine, name), storage, device,
                                place == places.end() ? at::Tensor() : place->second, additions);
                          }));
    changed.emplace(name, std::move(weight));
  }
  LUNA_RETURN_IF_ERROR(torch_call("adding low-rank products", [&] { additions.run(); }));
  return changed;
}

}  // namespace luna::worker
