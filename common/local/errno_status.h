#pragma once

#include <string_view>

#include "common/base/status.h"

namespace luna {

/// What the kernel refused, as a Status: "<what>: <the error in words>". ENOENT becomes NOT_FOUND,
/// EACCES and EPERM PERMISSION_DENIED, lack of memory or descriptors RESOURCE_EXHAUSTED, a gone
/// peer UNAVAILABLE, the rest INTERNAL.
Status errno_status(int error_number, std::string_view what);

}  // namespace luna
