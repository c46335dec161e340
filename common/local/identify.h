#pragma once

#include <string>

#include "common/base/status.h"
#include "common/types/file_identity.h"

namespace luna {

/// NOT_FOUND when there is no such file, INVALID_ARGUMENT when it is not a regular file,
/// PERMISSION_DENIED.
Result<FileIdentity> identify(const std::string& path);

}  // namespace luna
