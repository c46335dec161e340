#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace luna::worker {

/// Which parts of a slab are free: first fit, pieces of multiples of kAlignment, neighbours joined
/// when they are given back. Knows no memory. Not thread-safe.
class SlabSpace {
 public:
  static constexpr std::uint64_t kAlignment = 512;

  explicit SlabSpace(std::uint64_t bytes);

  /// Where `bytes` (at least 1) lie; nullopt when no free piece is large enough.
  std::optional<std::uint64_t> take(std::uint64_t bytes);
  /// `offset` and `bytes` as they were taken.
  void give_back(std::uint64_t offset, std::uint64_t bytes);

  std::uint64_t free_bytes() const { return free_bytes_; }
  std::uint64_t largest_free() const;

 private:
  static std::uint64_t rounded(std::uint64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  std::map<std::uint64_t, std::uint64_t> free_;  ///< offset -> bytes; no two touch
  std::uint64_t free_bytes_ = 0;
};

}  // namespace luna::worker
