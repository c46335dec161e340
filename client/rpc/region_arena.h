#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>

#include "client/rpc/local_plane.h"
#include "common/types/tensor.h"

namespace luna::client {

/// Registered memory that is used again and again: its pages are there, so that a tensor's way into
/// it is one copy at the speed of memory. Thread-safe.
class RegionArena {
 public:
  /// All of it, used and idle; beside what the daemon's limits allow.
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 30;

  /// `plane` outlives the arena, not the pieces.
  explicit RegionArena(LocalPlane& plane, std::uint64_t max_bytes = kMaxBytes);

  /// A piece of a region; the memory goes back to the arena when the last holder lets go of it.
  class Piece final : public Bytes {
   public:
    ~Piece() override;
    std::span<const std::byte> view() const override { return writable(); }
    std::span<std::byte> writable() const { return block_->writable.first(size_); }
    int fd() const override { return block_->memory->fd(); }
    /// The place to name in calls, when the piece came from this arena; else nullptr.
    const SharedRegion* place_in(const RegionArena& arena) const;

   private:
    friend class RegionArena;
    struct Block {
      BytesPtr memory;
      std::span<std::byte> writable;
      SharedRegion place;
    };
    struct State;
    Piece(std::shared_ptr<State> state, std::unique_ptr<Block> block, std::size_t size)
        : state_(std::move(state)), block_(std::move(block)), size_(size) {}
    const std::shared_ptr<State> state_;
    std::unique_ptr<Block> block_;
    const std::size_t size_;
  };

  /// RESOURCE_EXHAUSTED when the arena or the session has no room, UNAVAILABLE without the socket.
  Result<std::shared_ptr<const Piece>> take(std::size_t size);

 private:
  LocalPlane& plane_;
  const std::shared_ptr<Piece::State> state_;
};

}  // namespace luna::client
