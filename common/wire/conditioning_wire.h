#pragma once

#include "common/types/conditioning.h"
#include "common/types/model.h"
#include "common/wire/tensor_wire.h"
#include "luna/v1/sampling.pb.h"

namespace luna::wire {

void to_wire(const ConditioningEntry& entry, v1::ConditioningEntry* out);
Result<ConditioningEntry> from_wire(v1::ConditioningEntry& message,
                                    const FieldPath& path = FieldPath());

void to_wire(const LoraRef& lora, v1::LoraRef* out);
/// An absent clip_strength is the model_strength.
Result<LoraRef> from_wire(v1::LoraRef& message, const FieldPath& path = FieldPath());

Result<LoraApplication> lora_application_from_wire(v1::LoraApplication application,
                                                   const FieldPath& path);
void to_wire(const AppliedLoras& applied, v1::AppliedLoras* out);
Result<AppliedLoras> from_wire(v1::AppliedLoras& message, const FieldPath& path = FieldPath());

/// A repeated LoraRef field called "loras".
void loras_to_wire(const std::vector<LoraRef>& loras,
                   google::protobuf::RepeatedPtrField<v1::LoraRef>* out);
Result<std::vector<LoraRef>> loras_from_wire(google::protobuf::RepeatedPtrField<v1::LoraRef>& field,
                                             const FieldPath& parent);

}  // namespace luna::wire
