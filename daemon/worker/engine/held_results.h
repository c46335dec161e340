#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "daemon/worker/ops/tensor_ref.h"

namespace luna::worker {

/// Bytes of results that were made and not yet let go.
using HeldBytes = std::atomic<std::uint64_t>;

/// As `make`, and what it makes counts in `held` for as long as it lives.
BytesMaker counting(BytesMaker make, std::shared_ptr<HeldBytes> held);

}  // namespace luna::worker
