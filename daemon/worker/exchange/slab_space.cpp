#include "daemon/worker/exchange/slab_space.h"

#include <algorithm>
#include <iterator>

namespace luna::worker {

SlabSpace::SlabSpace(std::uint64_t bytes) : free_bytes_(bytes / kAlignment * kAlignment) {
  if (free_bytes_ > 0) free_.emplace(0, free_bytes_);
}

std::optional<std::uint64_t> SlabSpace::take(std::uint64_t bytes) {
  if (bytes == 0 || bytes > free_bytes_) return std::nullopt;
  const std::uint64_t wanted = rounded(bytes);
  for (auto at = free_.begin(); at != free_.end(); ++at) {
    if (at->second < wanted) continue;
    const auto [offset, size] = *at;
    free_.erase(at);
    if (size > wanted) free_.emplace(offset + wanted, size - wanted);
    free_bytes_ -= wanted;
    return offset;
  }
  return std::nullopt;
}

void SlabSpace::give_back(std::uint64_t offset, std::uint64_t bytes) {
  std::uint64_t size = rounded(bytes);
  free_bytes_ += size;
  auto after = free_.lower_bound(offset);
  if (after != free_.end() && after->first == offset + size) {
    size += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      before->second += size;
      return;
    }
  }
  free_.emplace(offset, size);
}

std::uint64_t SlabSpace::largest_free() const {
  std::uint64_t largest = 0;
  for (const auto& [offset, bytes] : free_) largest = std::max(largest, bytes);
  return largest;
}

}  // namespace luna::worker
