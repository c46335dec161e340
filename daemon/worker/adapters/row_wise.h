#pragma once

#include <memory>
#include <set>
#include <string>

#include "daemon/worker/adapters/adapter_plan.h"
#include "daemon/worker/layers/adapter_rows.h"

namespace luna::worker {

/// An adapter as the layers add it to single rows of a forward.
struct RowWise {
  std::shared_ptr<const LowRankFactors> factors;  ///< nullptr: it can only be merged
  std::string refusal;                            ///< why: "DoRA's magnitudes, in layer '...'"
};

/// The factors of a plan of ONE adapter at strength 1, if all of its changes are low-rank products
/// and every weight that they change is among `row_wise` (DenoisingModel::row_wise_weights()).
Result<RowWise> make_row_wise(const AdapterPlan& plan, const std::set<std::string>& row_wise,
                              at::ScalarType compute, at::Device device);

}  // namespace luna::worker
