#pragma once

#include <grpcpp/server_context.h>

#include "daemon/front/core/front_core.h"

namespace luna::front {

/// Must a call name its workflow?
enum class NeedsWorkflow { kNo, kYes };

/// Who calls: luna-workflow-id, luna-session-id, luna-priority and luna-results of the metadata,
/// gRPC's deadline, and whether the peer came over the unix socket. INVALID_ARGUMENT names the key
/// for a value that is missing, given twice, or not what its kind allows.
Result<Caller> caller_of(const grpc::CallbackServerContext& context, NeedsWorkflow needs);

/// The checks of caller_of without gRPC: `name` is the metadata key, for messages.
Status check_id(std::string_view name, std::string_view value);
Result<Priority> priority_of(std::string_view value);
/// luna-results: "cuda" leaves results on the GPU; "host" or nothing does not.
Result<bool> cuda_results_of(std::string_view value);

}  // namespace luna::front
