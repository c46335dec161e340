#pragma once

#include <cstddef>
#include <string>

#include "common/base/status.h"

namespace luna {

/// The whole content of a file that describes a model (an index, a configuration). NOT_FOUND,
/// PERMISSION_DENIED, INVALID_ARGUMENT for what is not a regular file or has more than `most`
/// bytes, DATA_LOSS when it cannot be read. Every message names the file.
Result<std::string> read_small_file(const std::string& path, std::size_t most);

}  // namespace luna
