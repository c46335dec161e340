#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/local/memory.h"
#include "common/types/tensor.h"

namespace luna::worker {

/// The memory that one step client registered, each region mapped once. Bytes that were handed out
/// stay mapped as long as somebody holds them, whatever is released.
class StepRegions {
 public:
  static constexpr std::size_t kMostRegions = 256;
  static constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;

  struct Added {
    std::string id;
    bool constant = false;  ///< nobody can change it: what is in it is lasting (LastingBytes)
  };
  /// INVALID_ARGUMENT for a descriptor that could shrink, or less than `bytes` bytes of it;
  /// RESOURCE_EXHAUSTED beyond kMostRegions or kMostBytes.
  Result<Added> add(UniqueFd memory, std::uint64_t bytes);
  /// The bytes that they had. NOT_FOUND for one that is not there, and none is released.
  Result<std::uint64_t> release(const std::vector<std::string>& ids);

  /// `size` bytes of a region. NOT_FOUND, INVALID_ARGUMENT when it has not so many. Of a constant
  /// region the same bytes are the same object.
  Result<BytesPtr> read(const SharedRegion& place, std::uint64_t size);

  /// Where a result goes; `owner` keeps it mapped.
  struct Target {
    std::span<std::byte> bytes;
    BytesPtr owner;
  };
  /// As read(); INVALID_ARGUMENT for a region that may only be read.
  Result<Target> write(const SharedRegion& place, std::uint64_t size);

 private:
  struct Region {
    SharedMapping memory;
    std::map<std::pair<std::uint64_t, std::uint64_t>, BytesPtr> lasting;  ///< by offset and size
  };
  Result<Region*> find(const SharedRegion& place, std::uint64_t size);

  std::map<std::string, Region> regions_;
  std::uint64_t bytes_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace luna::worker
