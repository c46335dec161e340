#include "client/rpc/region_arena.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "common/local/memory.h"

namespace luna::client {
namespace {

constexpr std::size_t kSmallestBlock = 128 * 1024;
/// From here on blocks grow by steps, not by doubling.
constexpr std::size_t kStep = std::size_t{16} << 20;

std::size_t block_size(std::size_t size) {
  if (size <= kSmallestBlock) return kSmallestBlock;
  if (size <= kStep) return std::bit_ceil(size);
  return (size + kStep - 1) / kStep * kStep;
}

}  // namespace

struct RegionArena::Piece::State {
  std::mutex mutex;
  std::list<std::unique_ptr<Block>> idle;  ///< the one that was used last first
  std::uint64_t bytes = 0;                 ///< of all blocks
  std::uint64_t max_bytes = 0;
};

RegionArena::RegionArena(LocalPlane& plane, std::uint64_t max_bytes)
    : plane_(plane), state_(std::make_shared<Piece::State>()) {
  state_->max_bytes = max_bytes;
}

RegionArena::Piece::~Piece() {
  std::lock_guard lock(state_->mutex);
  state_->idle.push_front(std::move(block_));
}

const SharedRegion* RegionArena::Piece::place_in(const RegionArena& arena) const {
  return state_ == arena.state_ ? &block_->place : nullptr;
}

Result<std::shared_ptr<const RegionArena::Piece>> RegionArena::take(std::size_t size) {
  const std::size_t wanted = block_size(size);
  std::list<std::unique_ptr<Piece::Block>> in_the_way;
  {
    std::lock_guard lock(state_->mutex);
    const auto fits = std::ranges::find_if(state_->idle, [&](const auto& block) {
      return block->writable.size() >= wanted && block->writable.size() / 2 <= wanted;
    });
    if (fits != state_->idle.end()) {
      auto block = std::move(*fits);
      state_->idle.erase(fits);
      return std::shared_ptr<const Piece>(new Piece(state_, std::move(block), size));
    }
    while (state_->bytes + wanted > state_->max_bytes && !state_->idle.empty()) {
      state_->bytes -= state_->idle.back()->writable.size();
      in_the_way.splice(in_the_way.end(), state_->idle, std::prev(state_->idle.end()));
    }
    if (wanted > state_->max_bytes || state_->bytes > state_->max_bytes - wanted) {
      return error(StatusCode::kResourceExhausted,
                   "{} of {} bytes of this client's shared memory are in use; {} more are wanted",
                   state_->bytes, state_->max_bytes, wanted);
    }
    state_->bytes += wanted;
  }
  const auto make = [&]() -> Result<std::unique_ptr<Piece::Block>> {
    if (!in_the_way.empty()) {
      std::vector<std::string> ids;
      for (const auto& block : in_the_way) ids.push_back(block->place.region_id);
      LUNA_RETURN_IF_ERROR(plane_.release(ids));
    }
    LUNA_ASSIGN_OR_RETURN(MemoryRegion region, MemoryRegion::create("luna-arena", wanted));
    auto block = std::make_unique<Piece::Block>();
    block->writable = region.bytes();
    block->memory = std::move(region).share();
    LUNA_ASSIGN_OR_RETURN(block->place.region_id, plane_.register_region(block->memory));
    return block;
  };
  auto block = make();
  if (block.ok()) return std::shared_ptr<const Piece>(new Piece(state_, *std::move(block), size));
  std::lock_guard lock(state_->mutex);
  state_->bytes -= wanted;
  return block.status();
}

}  // namespace luna::client
