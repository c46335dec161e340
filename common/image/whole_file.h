#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace luna {

/// What happens when a file of that name is there already.
enum class Existing { kReplace, kRefuse };

/// Writes a file so that it is either absent (or the old one) or complete: a new file beside it,
/// fsync, rename. ALREADY_EXISTS with kRefuse, also when another process made it in the meantime;
/// otherwise NOT_FOUND (no such folder), PERMISSION_DENIED, RESOURCE_EXHAUSTED (disk full), each
/// naming the file.
Status write_whole_file(const std::string& path, std::string_view bytes, Existing existing);

/// The content of a regular file of at most `max_bytes`. Anything else (folder, pipe, too large) is
/// INVALID_ARGUMENT, naming the file.
Result<std::string> read_whole_file(const std::string& path, std::size_t max_bytes);

}  // namespace luna
