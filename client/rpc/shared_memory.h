#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/rpc/local_plane.h"
#include "client/rpc/region_arena.h"
#include "common/types/job.h"

namespace luna::client {

/// The plane "shm" of one session: the tensors of requests go into regions, those of replies are
/// taken out of them. Thread-safe; everything here may wait for the daemon's local socket.
class SharedMemory {
 public:
  /// Tensors above this travel so; below it a message is as fast (docs/benchmarks.md).
  static constexpr std::size_t kSmallest = 64 * 1024;

  explicit SharedMemory(std::unique_ptr<LocalPlane> plane)
      : plane_(std::move(plane)), arena_(*plane_) {}

  bool alive() const { return plane_->alive(); }

  /// What a call under way uses; kept until it has been answered.
  struct Lent {
    std::vector<BytesPtr> memory;
    std::vector<std::string> registered;  ///< for this call alone
  };
  /// Is there anything in a request for lend()?
  static bool wanted(JobRequest& request);
  /// Names regions instead of bytes, as far as there is room; the rest stays as it is. Bytes of the
  /// arena, and large ones that have a descriptor, are not copied.
  Lent lend(JobRequest& request);
  /// After the answer.
  void give_back(const Lent& lent);

  static bool has_regions(JobReply& reply);
  /// Replaces every region of a reply by its bytes, which lie where the worker wrote them.
  Status take_all(JobReply& reply);
  Result<TensorRef> take(TensorSpec spec, const SharedRegion& place);

  /// Sealed memory with the bytes of a tensor, registered until forget().
  struct Sealed {
    BytesPtr memory;
    SharedRegion place;
    bool registered = false;
  };
  Result<Sealed> seal(const BytesPtr& bytes);
  void forget(const Sealed& sealed);

  RegionArena& arena() { return arena_; }
  LocalPlane& plane() { return *plane_; }

 private:
  Result<SharedRegion> place_of(const BytesPtr& bytes, Lent& lent);

  std::unique_ptr<LocalPlane> plane_;
  RegionArena arena_;
};

}  // namespace luna::client
