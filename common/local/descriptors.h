#pragma once

#include <cstddef>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/unique_fd.h"

namespace luna {

/// A second descriptor for the same open file, close-on-exec.
Result<UniqueFd> duplicate(int fd);

/// An attachment of a frame that is a descriptor and no bytes.
BytesPtr descriptor_alone(UniqueFd fd);

/// Lifts this process's limit of open descriptors to the most it may have, since every large tensor
/// on its way holds one. Returns the limit then in force. For programs, once at start.
Result<std::size_t> raise_descriptor_limit();

}  // namespace luna
