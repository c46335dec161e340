#pragma once

#include "common/types/sampling.h"
#include "common/wire/conditioning_wire.h"
#include "luna/v1/sampling.pb.h"

namespace luna::wire {

void to_wire(const SamplerRun& run, v1::SamplerRun* out);
/// Empty names and 0 steps become the defaults that the proto names.
Result<SamplerRun> from_wire(v1::SamplerRun& message, const FieldPath& path = FieldPath());

void to_wire(const SampleRow& row, v1::SampleRow* out);
Result<SampleRow> from_wire(v1::SampleRow& message, const FieldPath& path = FieldPath());

void to_wire(const SampleRequest& request, v1::SampleRequest* out);
Result<SampleRequest> from_wire(v1::SampleRequest& message, const FieldPath& path = FieldPath());

void to_wire(const SampleProgress& progress, v1::SampleProgress* out);
Result<SampleProgress> from_wire(v1::SampleProgress& message, const FieldPath& path = FieldPath());

void to_wire(const SampleReply& reply, v1::SampleResult* out);
Result<SampleReply> from_wire(v1::SampleResult& message, const FieldPath& path = FieldPath());

void to_wire(const DenoiseRequest& request, v1::DenoiseRequest* out);
Result<DenoiseRequest> from_wire(v1::DenoiseRequest& message, const FieldPath& path = FieldPath());

void to_wire(const DenoiseReply& reply, v1::DenoiseResponse* out);
Result<DenoiseReply> from_wire(v1::DenoiseResponse& message, const FieldPath& path = FieldPath());

}  // namespace luna::wire
