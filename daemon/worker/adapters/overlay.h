#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/adapters/adapter_plan.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// The weights that a plan makes of a component's pristine ones, by the component's own names; all
/// others are as they were. In f32 on `device`, in the plan's order; low-rank changes that follow
/// each other are added in one pass over the weight. The results are kept as `storage`. Nothing is
/// ever taken back: another set begins with the pristine weights again.
Result<WeightStore::Tensors> make_overlay(const AdapterPlan& plan, const HostWeights& pristine,
                                          at::ScalarType storage, at::Device device);

}  // namespace luna::worker
