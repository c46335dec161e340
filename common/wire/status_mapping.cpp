#include "common/wire/status_mapping.h"

#include "common/wire/utf8.h"

namespace luna::wire {
StatusCode status_code_of_grpc(int code) {
  switch (code) {
    case 0:
      return StatusCode::kOk;
    case 1:
      return StatusCode::kCancelled;
    case 3:
    case 11:
      return StatusCode::kInvalidArgument;
    case 4:
      return StatusCode::kDeadlineExceeded;
    case 5:
      return StatusCode::kNotFound;
    case 6:
      return StatusCode::kAlreadyExists;
    case 7:
    case 16:
      return StatusCode::kPermissionDenied;
    case 8:
      return StatusCode::kResourceExhausted;
    case 9:
      return StatusCode::kFailedPrecondition;
    case 12:
      return StatusCode::kUnimplemented;
    case 10:
    case 14:
      return StatusCode::kUnavailable;
    case 15:
      return StatusCode::kDataLoss;
    default:
      return StatusCode::kInternal;
  }
}

std::string trailer_message(std::string_view message, std::size_t max_bytes) {
  constexpr std::string_view kEllipsis = "...";
  std::string text = to_utf8(message.substr(0, max_bytes + 1));
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes < kEllipsis.size() ? max_bytes : max_bytes - kEllipsis.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  if (max_bytes >= kEllipsis.size()) text += kEllipsis;
  return text;
}

}  // namespace luna::wire
