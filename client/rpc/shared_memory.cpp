#include "client/rpc/shared_memory.h"

#include <cstring>
#include <map>
#include <utility>

#include "common/local/memory.h"
#include "common/types/request_tensors.h"

namespace luna::client {
namespace {

/// From here on to register a descriptor is faster than to copy its bytes.
constexpr std::size_t kWorthRegistering = std::size_t{1} << 20;

bool is_large(const BytesPtr& bytes) {
  return bytes && bytes->view().size() > SharedMemory::kSmallest;
}

}  // namespace

bool SharedMemory::wanted(JobRequest& request) {
  bool any = false;
  visit_tensors(request, [&](TensorRef& tensor) { any = any || is_large(tensor.host_bytes()); });
  return any;
}

SharedMemory::Lent SharedMemory::lend(JobRequest& request) {
  Lent lent;
  std::map<const Bytes*, SharedRegion> placed;
  visit_tensors(request, [&](TensorRef& tensor) {
    const BytesPtr bytes = tensor.host_bytes();
    if (!is_large(bytes) || !tensor.validate("tensor").ok()) return;
    auto known = placed.find(bytes.get());
    if (known == placed.end()) {
      auto place = place_of(bytes, lent);
      if (!place.ok()) return;
      lent.memory.push_back(bytes);  // also so that no address is used twice
      known = placed.emplace(bytes.get(), *std::move(place)).first;
    }
    tensor.place = known->second;
  });
  return lent;
}

Result<SharedRegion> SharedMemory::place_of(const BytesPtr& bytes, Lent& lent) {
  if (const auto* piece = dynamic_cast<const RegionArena::Piece*>(bytes.get())) {
    if (const SharedRegion* place = piece->place_in(arena_)) return *place;
  }
  const auto view = bytes->view();
  if (view.size() >= kWorthRegistering && bytes->fd() >= 0 &&
      sealed_against_shrinking(bytes->fd())) {
    auto id = plane_->register_region(bytes);
    if (id.ok()) {
      lent.registered.push_back(*id);
      return SharedRegion{*std::move(id), bytes->fd_offset()};
    }
  }
  LUNA_ASSIGN_OR_RETURN(const auto piece, arena_.take(view.size()));
  std::memcpy(piece->writable().data(), view.data(), view.size());
  lent.memory.push_back(piece);
  return *piece->place_in(arena_);
}

void SharedMemory::give_back(const Lent& lent) {
  // The answer stands whether or not this works: the session's end frees them too.
  if (!lent.registered.empty()) (void)plane_->release(lent.registered);
}

bool SharedMemory::has_regions(JobReply& reply) {
  bool any = false;
  visit_tensors(reply, [&](TensorRef& tensor) {
    any = any || std::holds_alternative<SharedRegion>(tensor.place);
  });
  return any;
}

Status SharedMemory::take_all(JobReply& reply) {
  Status status;
  visit_tensors(reply, [&](TensorRef& tensor) {
    const auto* place = std::get_if<SharedRegion>(&tensor.place);
    if (!place) return;
    if (!status.ok()) {
      (void)plane_->release({place->region_id});
      return;
    }
    auto taken = take(tensor.spec, *place);
    if (taken.ok()) {
      tensor = *std::move(taken);
    } else {
      status = taken.status().with_context("taking a result");
    }
  });
  return status;
}

Result<TensorRef> SharedMemory::take(TensorSpec spec, const SharedRegion& place) {
  LUNA_RETURN_IF_ERROR(spec.validate());
  LUNA_ASSIGN_OR_RETURN(BytesPtr whole, plane_->take(place.region_id));
  LUNA_ASSIGN_OR_RETURN(BytesPtr bytes, slice_of(std::move(whole), place.offset, spec.byte_size()));
  return TensorRef{std::move(spec), std::move(bytes)};
}

Result<SharedMemory::Sealed> SharedMemory::seal(const BytesPtr& bytes) {
  if (const auto* piece = dynamic_cast<const RegionArena::Piece*>(bytes.get())) {
    if (const SharedRegion* place = piece->place_in(arena_)) return Sealed{bytes, *place, false};
  }
  Sealed sealed{bytes, {}, true};
  if (!sealed_against_writing(bytes->fd())) {
    const auto view = bytes->view();
    LUNA_ASSIGN_OR_RETURN(MemoryRegion copy, MemoryRegion::create("luna-upload", view.size()));
    std::memcpy(copy.bytes().data(), view.data(), view.size());
    LUNA_ASSIGN_OR_RETURN(sealed.memory, std::move(copy).finish());
  }
  LUNA_ASSIGN_OR_RETURN(sealed.place.region_id, plane_->register_region(sealed.memory));
  sealed.place.offset = sealed.memory->fd_offset();
  return sealed;
}

void SharedMemory::forget(const Sealed& sealed) {
  if (sealed.registered) (void)plane_->release({sealed.place.region_id});
}

}  // namespace luna::client
