#include "daemon/front/core/plane_desk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/local/memory.h"
#include "common/log/log.h"
#include "common/types/request_tensors.h"
#include "daemon/front/core/front_state.h"

namespace luna::front {
namespace {

/// What a kept tensor may leave unused of memory that it keeps alive.
constexpr std::uint64_t kSlack = 4096;

void give_back(RegionTable::Dropped dropped, Deferred& after) {
  after.add([dropped = std::move(dropped)] {});
}

void tell(std::string line, Deferred& after) {
  if (line.empty()) return;
  after.add([line = std::move(line)] { log::logger("core").info("{}", line); });
}

Result<BytesPtr> sealed_copy_of(const BytesPtr& bytes) {
  const auto from = bytes->view();
  LUNA_ASSIGN_OR_RETURN(MemoryRegion copy, MemoryRegion::create("luna-tensor", from.size()));
  if (!from.empty()) std::memcpy(copy.bytes().data(), from.data(), from.size());
  return std::move(copy).finish();
}

}  // namespace

void PlaneDesk::serve(std::string socket_path) {
  std::lock_guard lock(state_->mutex);
  state_->planes.serve(std::move(socket_path));
}

void PlaneDesk::stop(std::string why) {
  std::lock_guard lock(state_->mutex);
  state_->planes.stop(std::move(why));
}

std::optional<SessionPlanes::Offer> PlaneDesk::offer(const std::string& session) const {
  std::lock_guard lock(state_->mutex);
  return state_->planes.offer(session);
}

Result<std::string> PlaneDesk::claim(const std::string& token, std::function<void()> on_end) {
  std::lock_guard lock(state_->mutex);
  return state_->planes.claim(token, std::move(on_end));
}

Status PlaneDesk::prove(const std::string& session) {
  std::lock_guard lock(state_->mutex);
  return state_->planes.prove(session);
}

void PlaneDesk::lose(const std::string& session, std::string why) {
  Deferred after;
  std::lock_guard lock(state_->mutex);
  state_->planes.lose(session, std::move(why));
  RegionTable::Dropped dropped;
  state_->regions.close(session, dropped);
  give_back(std::move(dropped), after);
}

std::vector<std::string> PlaneDesk::planes(const std::string& session) const {
  std::lock_guard lock(state_->mutex);
  return state_->planes.planes(session);
}

Status PlaneDesk::check_room(const std::string& session, std::uint64_t bytes) const {
  std::lock_guard lock(state_->mutex);
  LUNA_RETURN_IF_ERROR(state_->sessions.check(session));
  return state_->regions.check_room(session, bytes);
}

Result<std::string> PlaneDesk::add(const std::string& session, BytesPtr memory) {
  std::lock_guard lock(state_->mutex);
  state_->touch();
  LUNA_RETURN_IF_ERROR(state_->sessions.check(session));
  return state_->regions.add(session, RegionTable::Kind::kClients, std::move(memory));
}

Result<std::uint64_t> PlaneDesk::release(const std::string& session,
                                         const std::vector<std::string>& ids) {
  Deferred after;
  std::lock_guard lock(state_->mutex);
  state_->touch();
  RegionTable::Dropped dropped;
  auto freed = state_->regions.release(session, ids, dropped);
  give_back(std::move(dropped), after);
  return freed;
}

Result<BytesPtr> PlaneDesk::take(const std::string& session, const std::string& id) {
  std::lock_guard lock(state_->mutex);
  state_->touch();
  return state_->regions.take(session, id);
}

Result<TensorRef> PlaneDesk::read(const std::string& session, TensorSpec spec,
                                  const SharedRegion& place) {
  LUNA_RETURN_IF_ERROR(spec.validate(state_->config->limits.region_bytes_per_session));
  BytesPtr bytes;
  std::uint64_t whole = 0;
  {
    std::lock_guard lock(state_->mutex);
    LUNA_RETURN_IF_ERROR(state_->sessions.check(session));
    LUNA_ASSIGN_OR_RETURN(bytes, state_->regions.find(session, place, spec));
    whole = state_->regions.bytes_of(place.region_id);
  }
  const bool fills_it = whole - bytes->view().size() <= kSlack;
  if (!fills_it || !sealed_against_writing(bytes->fd())) {
    LUNA_ASSIGN_OR_RETURN(bytes, sealed_copy_of(bytes));
  }
  return TensorRef{std::move(spec), std::move(bytes)};
}

std::optional<SharedRegion> PlaneDesk::add_result(const std::string& session,
                                                  const TensorRef& tensor) {
  const BytesPtr bytes = tensor.host_bytes();
  if (!bytes || bytes->view().size() <= kRegionBytes || !sealed_against_writing(bytes->fd())) {
    return std::nullopt;
  }
  auto id = state_->regions.add(session, RegionTable::Kind::kResult, bytes);
  if (!id.ok()) return std::nullopt;
  return SharedRegion{*std::move(id), bytes->fd_offset()};
}

std::vector<std::string> PlaneDesk::hand_over(const std::string& session, JobReply& reply) {
  std::vector<std::string> ids;
  std::lock_guard lock(state_->mutex);
  if (!state_->planes.has_shm(session)) return ids;
  (void)for_each_tensor(reply, [&](TensorRef& tensor, const std::string&) -> Status {
    if (auto region = add_result(session, tensor)) {
      ids.push_back(region->region_id);
      tensor.place = *std::move(region);
    }
    return {};
  });
  return ids;
}

std::optional<SharedRegion> PlaneDesk::hand_over(const std::string& session,
                                                 const TensorRef& tensor) {
  std::lock_guard lock(state_->mutex);
  if (!state_->planes.has_shm(session)) return std::nullopt;
  return add_result(session, tensor);
}

void PlaneDesk::drop(const std::string& session, const std::vector<std::string>& ids) {
  if (ids.empty()) return;
  Deferred after;
  std::lock_guard lock(state_->mutex);
  RegionTable::Dropped dropped;
  state_->regions.drop(session, ids, dropped);
  give_back(std::move(dropped), after);
}

void PlaneDesk::end(const std::string& session, Deferred& after) {
  SessionPlanes::Ended ended = state_->planes.end(session);
  if (ended.on_end) after.add(std::move(ended.on_end));
  tell(std::move(ended.fallback), after);
  RegionTable::Dropped dropped;
  state_->regions.close(session, dropped);
  give_back(std::move(dropped), after);
}

void PlaneDesk::tell_fallbacks(Deferred& after) {
  for (std::string& line : state_->planes.fallbacks(state_->clock())) tell(std::move(line), after);
}

std::vector<SessionInfo> PlaneDesk::list() const {
  std::vector<std::pair<TimePoint, SessionInfo>> by_age;
  for (auto& [session, info] : state_->sessions.list()) {
    const TimePoint opened = state_->planes.opened(session);
    SessionInfo& line = by_age.emplace_back(opened, info).second;
    line.seconds_open = std::chrono::duration<double>(state_->clock() - opened).count();
    line.planes = state_->planes.planes(session);
    line.fallback = state_->planes.reason(session);
    line.regions = state_->regions.of(session).regions;
    line.region_bytes = state_->regions.of(session).bytes;
  }
  std::ranges::sort(by_age, {}, [](const auto& entry) { return entry.first; });
  std::vector<SessionInfo> list;
  for (auto& [opened, info] : by_age) list.push_back(std::move(info));
  return list;
}

}  // namespace luna::front
