#include "daemon/worker/adapters/row_wise.h"

#include <fmt/format.h>

#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
Result<RowWise> make_row_wise(const AdapterPlan& plan, const std::set<std::string>& row_wise,
                              at::ScalarType compute, at::Device device) {
  auto factors = std::make_shared<LowRankFactors>();
  for (const auto& [weight, changes] : plan.changes) {
    const AdapterPlan::Change& change = changes.front();
    if (changes.size() > 1 || change.parts > 1 || change.transposed || !row_wise.contains(weight))
      return RowWise{nullptr, fmt::format("what {} changes is not added row by row", change.from)};
    LUNA_ASSIGN_OR_RETURN(auto product, torch_call(change.from, [&] {
                            return change.change->product(plan.shapes.at(weight));
                          }));
    if (!product) {
      return RowWise{nullptr, fmt::format("{} is not a product of low rank alone", change.from)};
    }
    LUNA_ASSIGN_OR_RETURN(LowRankFactors::Term term, torch_call(change.from, [&] {
                            return LowRankFactors::Term{
                                product->up.to(device, compute).contiguous(),
                                product->down.to(device, compute).contiguous(),
                                product->scale * change.strength};
                          }));
    factors->bytes += term.up.nbytes() + term.down.nbytes();
    factors->terms.emplace(weight, std::move(term));
  }
  return RowWise{std::move(factors), ""};
}

}  // namespace luna::worker
