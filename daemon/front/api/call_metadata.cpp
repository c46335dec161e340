#include "daemon/front/api/call_metadata.h"

#include <algorithm>
#include <chrono>

namespace luna::front {
namespace {

constexpr std::size_t kMaxIdBytes = 128;

/// The value of a key, empty where it is absent.
Result<std::string> value_of(const grpc::CallbackServerContext& context, const char* key) {
  const auto& metadata = context.client_metadata();
  const auto [first, last] = metadata.equal_range(key);
  if (first == last) return std::string();
  if (std::next(first) != last) {
    return error(StatusCode::kInvalidArgument, "metadata {} is given {} times; once is expected",
                 key, std::distance(first, last));
  }
  return std::string(first->second.data(), first->second.size());
}

bool allowed_in_id(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == ':' || c == '-';
}

Deadline deadline_of(const grpc::CallbackServerContext& context) {
  const auto at = context.deadline();
  if (at == std::chrono::system_clock::time_point::max()) return Deadline();
  return Deadline::after(at - std::chrono::system_clock::now());
}

}  // namespace

Status check_id(std::string_view name, std::string_view value) {
  if (value.size() > kMaxIdBytes) {
    return error(StatusCode::kInvalidArgument,
                 "metadata {} has {} characters; at most {} are allowed", name, value.size(),
                 kMaxIdBytes);
  }
  const auto bad = std::find_if_not(value.begin(), value.end(), allowed_in_id);
  if (bad != value.end()) {
    return error(StatusCode::kInvalidArgument,
                 "metadata {} has the byte 0x{:02x} at position {}; expected [A-Za-z0-9._:-]", name,
                 static_cast<unsigned>(static_cast<unsigned char>(*bad)), bad - value.begin());
  }
  return {};
}

Result<Priority> priority_of(std::string_view value) {
  if (value.empty()) return Priority::kNormal;
  if (const auto priority = priority_from_name(value)) return *priority;
  return error(StatusCode::kInvalidArgument,
               "metadata luna-priority: expected interactive, normal or bulk, found '{}'",
               value.substr(0, 64));
}

Result<bool> cuda_results_of(std::string_view value) {
  if (value.empty() || value == "host") return false;
  if (value == "cuda") return true;
  return error(StatusCode::kInvalidArgument,
               "metadata luna-results: expected host or cuda, found '{}'", value.substr(0, 64));
}

Result<Caller> caller_of(const grpc::CallbackServerContext& context, NeedsWorkflow needs) {
  Caller caller;
  LUNA_ASSIGN_OR_RETURN(caller.workflow_id, value_of(context, "luna-workflow-id"));
  LUNA_RETURN_IF_ERROR(check_id("luna-workflow-id", caller.workflow_id));
  if (needs == NeedsWorkflow::kYes && caller.workflow_id.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "metadata luna-workflow-id is missing; register a workflow and name it with every "
                 "call");
  }
  LUNA_ASSIGN_OR_RETURN(caller.session_id, value_of(context, "luna-session-id"));
  LUNA_RETURN_IF_ERROR(check_id("luna-session-id", caller.session_id));
  LUNA_ASSIGN_OR_RETURN(const std::string priority, value_of(context, "luna-priority"));
  LUNA_ASSIGN_OR_RETURN(caller.priority, priority_of(priority));
  LUNA_ASSIGN_OR_RETURN(const std::string results, value_of(context, "luna-results"));
  LUNA_ASSIGN_OR_RETURN(caller.cuda_results, cuda_results_of(results));
  caller.deadline = deadline_of(context);
  caller.local = context.peer().rfind("unix:", 0) == 0;
  return caller;
}

}  // namespace luna::front
