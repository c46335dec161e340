#pragma once

#include <cstddef>

#include "daemon/worker/ops/tensor_ref.h"

namespace luna::worker {

/// Results larger than this are made in sealed shared memory, so that they travel by descriptor.
inline constexpr std::size_t kSharedResultBytes = 64 * 1024;

/// The bytes of a result as they leave the worker without another copy: a sealed memory descriptor
/// when large, the heap when small. RESOURCE_EXHAUSTED when memory or descriptors are used up.
Result<BytesPtr> make_result_bytes(std::size_t size,
                                   const std::function<void(std::span<std::byte>)>& fill);

}  // namespace luna::worker
