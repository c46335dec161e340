#pragma once

#include <string>

#include "common/base/status.h"

namespace luna::wire {

/// The gRPC code of a Status. The two sets share their numbers, so this is a cast with a name.
constexpr int grpc_code(StatusCode code) { return static_cast<int>(code); }

/// The StatusCode for a gRPC code. Codes that Luna never sends become the one that asks the same of
/// the caller: OUT_OF_RANGE is INVALID_ARGUMENT, ABORTED is UNAVAILABLE, UNAUTHENTICATED is
/// PERMISSION_DENIED, UNKNOWN and every other number is INTERNAL.
StatusCode status_code_of_grpc(int code);

/// A message fit for the trailer of a call: valid UTF-8 of at most `max_bytes`. Cut at a
/// character's boundary, and ended by "..." where something was left out; bytes that are no UTF-8
/// become '?'.
std::string trailer_message(std::string_view message, std::size_t max_bytes = 2048);

}  // namespace luna::wire
