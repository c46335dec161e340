#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/adapters/adapter_plan.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// The weights that a plan makes of a component's pristine ones, by the component's own names; all
/// others are as they were. In f32 on `device`, in the plan's order; low-rank changes that follow
/// each other are added in one pass over the weight. The results are rounded to `storage`. Those
/// that `places` names are written there, over whatever it has (in its type, which holds
/// `storage`); the others are new. Nothing is ever taken back: another set begins with the pristine
/// weights. After an error `places` has no meaning.
Result<WeightStore::Tensors> make_overlay(const AdapterPlan& plan, const HostWeights& pristine,
                                          at::ScalarType storage, at::Device device,
                                          const WeightStore::Tensors& places);

}  // namespace luna::worker
