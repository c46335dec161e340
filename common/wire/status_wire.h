#pragma once

#include "common/types/info.h"
#include "common/wire/models_wire.h"
#include "luna/v1/status.pb.h"

namespace luna::wire {

void to_wire(const WorkerInfo& worker, v1::WorkerStatus* out);
Result<WorkerInfo> from_wire(v1::WorkerStatus& message, const FieldPath& path = FieldPath());

void to_wire(const StatusInfo& status, v1::GetStatusResponse* out);
Result<StatusInfo> from_wire(v1::GetStatusResponse& message, const FieldPath& path = FieldPath());

}  // namespace luna::wire
