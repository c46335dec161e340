#include "daemon/worker/steps/step_regions.h"

#include <set>

#include "common/base/lasting_bytes.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMostLasting = 256;  ///< parts of one region that are known as objects

}  // namespace

Result<StepRegions::Added> StepRegions::add(UniqueFd memory, std::uint64_t bytes) {
  if (regions_.size() >= kMostRegions) {
    return error(StatusCode::kResourceExhausted,
                 "{} regions are registered, as many as a step socket may have; release some",
                 regions_.size());
  }
  Region region;
  LUNA_ASSIGN_OR_RETURN(region.memory, map_shared(std::move(memory)));
  const std::uint64_t found = region.memory.bytes->view().size();
  if (bytes == 0 || found < bytes) {
    return error(StatusCode::kInvalidArgument, "{} bytes were announced, the descriptor has {}",
                 bytes, found);
  }
  if (found > kMostBytes - bytes_) {
    return error(StatusCode::kResourceExhausted,
                 "{} bytes are registered, and {} more would pass the {} of a step socket", bytes_,
                 found, kMostBytes);
  }
  bytes_ += found;
  Added added{fmt::format("r{}", ++last_), region.memory.constant};
  regions_.emplace(added.id, std::move(region));
  return added;
}

Result<std::uint64_t> StepRegions::release(const std::vector<std::string>& ids) {
  const std::set<std::string> distinct(ids.begin(), ids.end());
  for (const std::string& id : distinct) {
    if (regions_.contains(id)) continue;
    return error(StatusCode::kNotFound, "no region '{}' is registered here", id.substr(0, 64));
  }
  std::uint64_t freed = 0;
  for (const std::string& id : distinct) {
    const auto found = regions_.find(id);
    freed += found->second.memory.bytes->view().size();
    regions_.erase(found);
  }
  bytes_ -= freed;
  return freed;
}

Result<StepRegions::Region*> StepRegions::find(const SharedRegion& place, std::uint64_t size) {
  const auto found = regions_.find(place.region_id);
  if (found == regions_.end()) {
    return error(StatusCode::kNotFound, "no region '{}' is registered here",
                 place.region_id.substr(0, 64));
  }
  const std::uint64_t available = found->second.memory.bytes->view().size();
  if (place.offset > available || size > available - place.offset) {
    return error(StatusCode::kInvalidArgument,
                 "region '{}' has {} bytes; {} bytes from {} on were named", place.region_id,
                 available, size, place.offset);
  }
  return &found->second;
}

Result<BytesPtr> StepRegions::read(const SharedRegion& place, std::uint64_t size) {
  LUNA_ASSIGN_OR_RETURN(Region* const region, find(place, size));
  if (!region->memory.constant) return slice_of(region->memory.bytes, place.offset, size);
  const auto known = region->lasting.find({place.offset, size});
  if (known != region->lasting.end()) return known->second;
  LUNA_ASSIGN_OR_RETURN(BytesPtr part, slice_of(region->memory.bytes, place.offset, size));
  BytesPtr lasting = std::make_shared<LastingBytes>(std::move(part));
  if (region->lasting.size() < kMostLasting) {
    region->lasting.emplace(std::pair(place.offset, size), lasting);
  }
  return lasting;
}

Result<StepRegions::Target> StepRegions::write(const SharedRegion& place, std::uint64_t size) {
  LUNA_ASSIGN_OR_RETURN(Region* const region, find(place, size));
  if (region->memory.writable.empty()) {
    return error(StatusCode::kInvalidArgument, "region '{}' may only be read", place.region_id);
  }
  return Target{region->memory.writable.subspan(place.offset, size), region->memory.bytes};
}

}  // namespace luna::worker
