#include "daemon/worker/exchange/result_bytes.h"

#include <utility>

#include "common/local/memory.h"

namespace luna::worker {

Result<BytesPtr> make_result_bytes(std::size_t size,
                                   const std::function<void(std::span<std::byte>)>& fill) {
  if (size <= kSharedResultBytes) return make_heap_bytes(size, fill);
  LUNA_ASSIGN_OR_RETURN(MemoryRegion region, MemoryRegion::create("luna-result", size));
  fill(region.bytes());
  return std::move(region).finish();
}

}  // namespace luna::worker
