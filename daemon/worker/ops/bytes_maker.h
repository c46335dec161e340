#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace luna::worker {

/// Makes the bytes of a result: `fill` is called once with `size` writable bytes, which are
/// read-only after.
using BytesMaker = std::function<Result<BytesPtr>(
    std::size_t size, const std::function<void(std::span<std::byte>)>& fill)>;
/// Bytes on the heap of this process.
Result<BytesPtr> make_heap_bytes(std::size_t size,
                                 const std::function<void(std::span<std::byte>)>& fill);

}  // namespace luna::worker
