#pragma once

#include <map>
#include <string>

#include "common/types/steps.h"
#include "daemon/worker/engine/engine.h"
#include "daemon/worker/steps/step_regions.h"
#include "luna/v1/local.pb.h"

namespace luna::worker {

/// A DenoiseStep made ready for the engine.
struct StepRequest {
  Job job;                ///< without an id
  BytesMaker make_bytes;  ///< into the client's regions; none: as the engine makes them
  std::vector<SharedRegion> into;
};

/// Reads the message (which is spent), finds its regions and adapters. Errors name the field:
/// INVALID_ARGUMENT, NOT_FOUND (a region), FAILED_PRECONDITION (an adapter that the socket was not
/// opened for). What the model must fit is the engine's to check.
Result<StepRequest> read_step(v1::DenoiseStep& message, const StepsOpening& opening,
                              StepRegions& regions);

}  // namespace luna::worker
