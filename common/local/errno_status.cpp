#include "common/local/errno_status.h"

#include <cerrno>
#include <system_error>

namespace luna {
namespace {

StatusCode code_of(int error_number) {
  switch (error_number) {
    case ENOENT:
      return StatusCode::kNotFound;
    case EACCES:
    case EPERM:
      return StatusCode::kPermissionDenied;
    case EADDRINUSE:
      return StatusCode::kAlreadyExists;
    case ENOMEM:
    case ENOSPC:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
    case ETOOMANYREFS:
      return StatusCode::kResourceExhausted;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ENOTCONN:
      return StatusCode::kUnavailable;
    case ETIMEDOUT:
      return StatusCode::kDeadlineExceeded;
    default:
      return StatusCode::kInternal;
  }
}

}  // namespace

Status errno_status(int error_number, std::string_view what) {
  return error(code_of(error_number), "{}: {}", what,
               std::generic_category().message(error_number));
}

}  // namespace luna
