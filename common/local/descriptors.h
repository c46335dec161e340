#pragma once

#include <cstddef>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/unique_fd.h"

namespace luna {

/// A second descriptor for the same open file, close-on-exec.
Result<UniqueFd> duplicate(int fd);

/// A descriptor that is no memory (a socket) as an attachment of a frame, without bytes.
BytesPtr descriptor_alone(UniqueFd fd);

/// Lifts this process's limit of open descriptors to the most it may have, since every large tensor
/// on its way holds one. Returns the limit then in force. For programs, once at start.
Result<std::size_t> raise_descriptor_limit();

}  // namespace luna
