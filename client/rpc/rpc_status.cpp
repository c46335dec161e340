#include "client/rpc/rpc_status.h"

#include <array>
#include <string_view>

#include "common/wire/status_mapping.h"

namespace luna::client {
namespace {

bool contains_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (text.find(part) != std::string_view::npos) return true;
  }
  return false;
}

Status unavailable(const std::string& message, const std::string& address) {
  if (contains_any(message, {"failed to connect", "DNS resolution failed", "empty address list",
                             "connection attempt timed out"})) {
    return error(StatusCode::kUnavailable,
                 "cannot reach lunad at {} ({}); start lunad, or give the address of one that runs",
                 address, message);
  }
  if (message.empty() ||
      contains_any(message, {"Socket closed", "Connection reset", "Broken pipe", "GOAWAY",
                             "Endpoint", "Transport closed", "keepalive", "Stream removed"})) {
    return error(StatusCode::kUnavailable, "the connection to lunad at {} broke{}{}; connect again",
                 address, message.empty() ? "" : ": ", message);
  }
  return Status(StatusCode::kUnavailable, message);
}

}  // namespace

Status from_grpc(const grpc::Status& status, const std::string& address) {
  const StatusCode code = wire::status_code_of_grpc(static_cast<int>(status.error_code()));
  const std::string& message = status.error_message();
  switch (code) {
    case StatusCode::kOk:
      return {};
    case StatusCode::kUnavailable:
      return unavailable(message, address);
    case StatusCode::kDeadlineExceeded:
      if (!message.empty() && message != "Deadline Exceeded") break;
      return error(code, "the deadline passed before lunad at {} had answered", address);
    case StatusCode::kCancelled:
      if (!message.empty() && message != "CANCELLED" && message != "Cancelled") break;
      return Status(code, "the call was cancelled");
    case StatusCode::kResourceExhausted:
      if (!contains_any(message, {"message larger than max"})) break;
      return error(
          code,
          "one message is larger than lunad at {} takes ({}); upload large tensors, or raise "
          "limits.message_bytes",
          address, message);
    case StatusCode::kUnimplemented:
      if (!message.empty()) break;
      return error(code,
                   "what answers at {} does not serve this call: is it lunad, and as new as this "
                   "client?",
                   address);
    default:
      break;
  }
  if (message.empty()) return error(code, "lunad at {} gave no reason", address);
  return Status(code, message);
}

}  // namespace luna::client
