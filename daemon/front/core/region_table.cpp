#include "daemon/front/core/region_table.h"

#include <utility>

#include "common/local/memory.h"
#include "daemon/front/core/random_id.h"

namespace luna::front {

Status RegionTable::check_room(const std::string& session, std::uint64_t bytes) const {
  const Totals has = of(session);
  if (has.regions >= max_regions_) {
    return error(StatusCode::kResourceExhausted,
                 "the session has {} regions, as many as [limits] regions_per_session allows; "
                 "take results and release what is not needed",
                 has.regions);
  }
  if (bytes > max_bytes_ || has.bytes > max_bytes_ - bytes) {
    return error(StatusCode::kResourceExhausted,
                 "the session's regions have {} bytes; {} more would exceed [limits] "
                 "region_bytes_per_session, {}",
                 has.bytes, bytes, max_bytes_);
  }
  return {};
}

Result<std::string> RegionTable::add(const std::string& session, Kind kind, BytesPtr memory) {
  const std::uint64_t bytes = memory->fd_offset() + memory->view().size();
  LUNA_RETURN_IF_ERROR(check_room(session, bytes));
  std::string id = random_id("r-");
  Owner& owner = owners_[session];
  owner.regions.insert(id);
  owner.bytes += bytes;
  bytes_ += bytes;
  regions_.emplace(id, Region{session, kind, std::move(memory), bytes});
  return id;
}

Result<const RegionTable::Region*> RegionTable::owned(const std::string& session,
                                                      const std::string& id) const {
  const auto found = regions_.find(id);
  if (found == regions_.end()) {
    return error(StatusCode::kNotFound,
                 "no region '{}': it was released or taken, or never was one", id);
  }
  if (found->second.session != session) {
    return error(StatusCode::kPermissionDenied, "region '{}' belongs to another session", id);
  }
  return &found->second;
}

Result<BytesPtr> RegionTable::find(const std::string& session, const SharedRegion& place,
                                   const TensorSpec& spec) const {
  LUNA_ASSIGN_OR_RETURN(const Region* region, owned(session, place.region_id));
  if (place.offset % dtype_size(spec.dtype) != 0) {
    return error(StatusCode::kInvalidArgument,
                 "{} at offset {} of region '{}': expected a multiple of the element's {} bytes",
                 spec.to_string(), place.offset, place.region_id, dtype_size(spec.dtype));
  }
  const std::uint64_t begin = region->memory->fd_offset();
  const std::uint64_t size = spec.byte_size();
  const bool inside = place.offset >= begin && place.offset <= region->bytes &&
                      size <= region->bytes - place.offset;
  if (!inside) {
    return error(StatusCode::kInvalidArgument,
                 "{} needs {} bytes from offset {} on; region '{}' has {}", spec.to_string(), size,
                 place.offset, place.region_id, region->bytes);
  }
  return slice_of(region->memory, place.offset - begin, size);
}

BytesPtr RegionTable::remove(const std::string& id) {
  const auto found = regions_.find(id);
  const auto owner = owners_.find(found->second.session);
  owner->second.regions.erase(id);
  owner->second.bytes -= found->second.bytes;
  if (owner->second.regions.empty()) owners_.erase(owner);
  bytes_ -= found->second.bytes;
  BytesPtr memory = std::move(found->second.memory);
  regions_.erase(found);
  return memory;
}

Result<std::uint64_t> RegionTable::release(const std::string& session,
                                           const std::vector<std::string>& ids, Dropped& dropped) {
  std::uint64_t freed = 0;
  const std::set<std::string> distinct(ids.begin(), ids.end());
  for (const std::string& id : distinct) {
    LUNA_ASSIGN_OR_RETURN(const Region* region, owned(session, id));
    freed += region->bytes;
  }
  for (const std::string& id : distinct) dropped.push_back(remove(id));
  return freed;
}

void RegionTable::drop(const std::string& session, const std::vector<std::string>& ids,
                       Dropped& dropped) {
  for (const std::string& id : ids) {
    if (owned(session, id).ok()) dropped.push_back(remove(id));
  }
}

Result<BytesPtr> RegionTable::take(const std::string& session, const std::string& id) {
  LUNA_ASSIGN_OR_RETURN(const Region* region, owned(session, id));
  if (region->kind != Kind::kResult) {
    return error(StatusCode::kFailedPrecondition,
                 "region '{}' is the client's own; only results are taken", id);
  }
  return remove(id);
}

void RegionTable::close(const std::string& session, Dropped& dropped) {
  const auto owner = owners_.find(session);
  if (owner == owners_.end()) return;
  const std::set<std::string> ids = owner->second.regions;
  for (const std::string& id : ids) dropped.push_back(remove(id));
}

std::uint64_t RegionTable::bytes_of(const std::string& id) const {
  const auto found = regions_.find(id);
  return found == regions_.end() ? 0 : found->second.bytes;
}

RegionTable::Totals RegionTable::of(const std::string& session) const {
  const auto owner = owners_.find(session);
  if (owner == owners_.end()) return {};
  return {owner->second.regions.size(), owner->second.bytes};
}

}  // namespace luna::front
