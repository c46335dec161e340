#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/types/tensor.h"

namespace luna::front {

/// Pieces of shared memory, each owned by one session: what its client registered or had made, and
/// results that it has not taken yet. Whoever found a tensor in one keeps the memory, whatever
/// becomes of the entry. Not thread-safe.
class RegionTable {
 public:
  RegionTable(std::uint32_t max_regions_per_session, std::uint64_t max_bytes_per_session)
      : max_regions_(max_regions_per_session), max_bytes_(max_bytes_per_session) {}

  enum class Kind {
    kClients,  ///< the client writes; lives until it is released
    kResult,   ///< sealed; lives until it is taken
  };

  /// RESOURCE_EXHAUSTED when the session may have no more regions, or not `bytes` more.
  Status check_room(const std::string& session, std::uint64_t bytes) const;
  /// The new region's id. `memory` has a descriptor, and counts with all that lies behind that.
  Result<std::string> add(const std::string& session, Kind kind, BytesPtr memory);

  /// The bytes of a tensor in a region; they share its memory. NOT_FOUND; PERMISSION_DENIED for
  /// another session's; INVALID_ARGUMENT for an offset that is no multiple of the element's size,
  /// or a tensor that does not lie within the region.
  Result<BytesPtr> find(const std::string& session, const SharedRegion& place,
                        const TensorSpec& spec) const;

  using Dropped = std::vector<BytesPtr>;
  /// All or nothing; the memory is left in `dropped`, since giving much of it back takes a while.
  Result<std::uint64_t> release(const std::string& session, const std::vector<std::string>& ids,
                                Dropped& dropped);
  /// Those of them that are still there.
  void drop(const std::string& session, const std::vector<std::string>& ids, Dropped& dropped);
  /// The region's memory, and the end of its entry. FAILED_PRECONDITION for what is no result.
  Result<BytesPtr> take(const std::string& session, const std::string& id);
  /// All of a session's.
  void close(const std::string& session, Dropped& dropped);

  struct Totals {
    std::uint64_t regions = 0, bytes = 0;
  };
  Totals of(const std::string& session) const;
  /// 0 for an id that is gone.
  std::uint64_t bytes_of(const std::string& id) const;
  Totals all() const { return {regions_.size(), bytes_}; }

 private:
  struct Region {
    std::string session;
    Kind kind = Kind::kClients;
    BytesPtr memory;
    std::uint64_t bytes = 0;
  };
  struct Owner {
    std::set<std::string> regions;
    std::uint64_t bytes = 0;
  };
  Result<const Region*> owned(const std::string& session, const std::string& id) const;
  BytesPtr remove(const std::string& id);

  const std::uint32_t max_regions_;
  const std::uint64_t max_bytes_;
  std::map<std::string, Region> regions_;
  std::map<std::string, Owner> owners_;
  std::uint64_t bytes_ = 0;
};

}  // namespace luna::front
