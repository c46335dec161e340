#pragma once

#include "common/types/info.h"
#include "common/types/job.h"
#include "common/wire/field_path.h"
#include "luna/v1/models.pb.h"
#include "luna/v1/workflow.pb.h"

namespace luna::wire {

/// SLOT_UNSPECIFIED and unknown numbers are refused.
Result<Slot> slot_from_wire(v1::Slot slot, const FieldPath& path);
Result<Precision> precision_from_wire(v1::Precision precision, const FieldPath& path);

void to_wire(const ModelRef& model, v1::ModelRef* out);
Result<ModelRef> from_wire(v1::ModelRef& message, const FieldPath& path = FieldPath());

void to_wire(const RequestedModels& models, v1::ModelSet* out);
/// A slot that is named twice is refused.
Result<RequestedModels> from_wire(v1::ModelSet& message, const FieldPath& path = FieldPath());

void to_wire(const ComponentInfo& info, v1::ComponentInfo* out);
Result<ComponentInfo> from_wire(v1::ComponentInfo& message, const FieldPath& path = FieldPath());

/// `worker`: who holds it; only the wire says so, LoadedModel does not.
void to_wire(const LoadedModel& model, WorkerId worker, v1::LoadedModel* out);
Result<LoadedModel> from_wire(v1::LoadedModel& message, const FieldPath& path = FieldPath());

void to_wire(const UnloadModelReply& reply, v1::UnloadModelResponse* out);
Result<UnloadModelReply> from_wire(v1::UnloadModelResponse& message,
                                   const FieldPath& path = FieldPath());
/// Without a slot: all of the file.
void to_wire(const UnloadModelRequest& request, v1::OffloadModelRequest* out);
Result<UnloadModelRequest> from_wire(v1::OffloadModelRequest& message,
                                     const FieldPath& path = FieldPath());
void to_wire(const UnloadModelReply& reply, v1::OffloadModelResponse* out);
Result<UnloadModelReply> from_wire(v1::OffloadModelResponse& message,
                                   const FieldPath& path = FieldPath());
void to_wire(const RestoreModelReply& reply, v1::RestoreModelResponse* out);
Result<RestoreModelReply> from_wire(v1::RestoreModelResponse& message,
                                    const FieldPath& path = FieldPath());

void to_wire(const ModelFileInfo& file, v1::ModelFile* out);
ModelFileInfo from_wire(v1::ModelFile& message);

void to_wire(const LoadModelRequest& request, v1::LoadModelRequest* out);
Result<LoadModelRequest> from_wire(v1::LoadModelRequest& message,
                                   const FieldPath& path = FieldPath());

void to_wire(const InspectModelReply& reply, v1::InspectModelResponse* out);
Result<InspectModelReply> from_wire(v1::InspectModelResponse& message,
                                    const FieldPath& path = FieldPath());

void to_wire(const WorkflowInfo& workflow, v1::Workflow* out);
Result<WorkflowInfo> from_wire(v1::Workflow& message, const FieldPath& path = FieldPath());

}  // namespace luna::wire
