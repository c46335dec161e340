#include "daemon/front/core/session_planes.h"

#include <utility>

#include "daemon/front/core/random_id.h"

namespace luna::front {

void SessionPlanes::serve(std::string socket_path) { path_ = std::move(socket_path); }

void SessionPlanes::stop(std::string why) {
  path_.clear();
  why_not_ = std::move(why);
}

void SessionPlanes::begin(const std::string& session, std::string client,
                          const std::string& host_id, TimePoint now) {
  Plane& plane = planes_[session];
  plane.client = std::move(client);
  plane.opened = now;
  if (path_.empty()) {
    plane.why = why_not_;
  } else if (host_id.empty() || host_id != own_host_) {
    plane.why = host_id.empty() ? "the client does not say on which host it is"
                                : "the client is on another host";
  } else {
    plane.state = State::kOffered;
    plane.why = "the client has not come to the local socket";
    plane.token = random_id("l-");
    by_token_[plane.token] = session;
  }
}

std::optional<SessionPlanes::Offer> SessionPlanes::offer(const std::string& session) const {
  const Plane* plane = find(session);
  if (!plane || plane->state != State::kOffered) return std::nullopt;
  return Offer{path_, plane->token};
}

Result<std::string> SessionPlanes::claim(const std::string& token, std::function<void()> on_end) {
  const auto found = by_token_.find(token);
  if (found == by_token_.end()) {
    return error(StatusCode::kPermissionDenied,
                 "no session waits with this token: it was used, or its session has ended");
  }
  const std::string session = found->second;
  by_token_.erase(found);
  Plane& plane = planes_.at(session);
  plane.state = State::kClaimed;
  plane.why = "the client came to the local socket and has not proved that it shares memory";
  plane.on_end = std::move(on_end);
  return session;
}

Status SessionPlanes::prove(const std::string& session) {
  const auto found = planes_.find(session);
  if (found == planes_.end()) return error(StatusCode::kNotFound, "the session has ended");
  found->second.state = State::kProved;
  found->second.why.clear();
  return {};
}

void SessionPlanes::lose(const std::string& session, std::string why) {
  const auto found = planes_.find(session);
  if (found == planes_.end()) return;
  found->second.state = State::kInline;
  found->second.why = std::move(why);
  found->second.on_end = nullptr;
}

SessionPlanes::Ended SessionPlanes::end(const std::string& session) {
  const auto found = planes_.find(session);
  if (found == planes_.end()) return {};
  Plane& plane = found->second;
  by_token_.erase(plane.token);
  Ended ended{std::move(plane.on_end), plane.told ? "" : fallback_of(plane)};
  planes_.erase(found);
  return ended;
}

std::string SessionPlanes::fallback_of(const Plane& plane) {
  if (plane.why.empty()) return "";
  return fmt::format("client '{}' sends its tensors inside the calls: {}", plane.client, plane.why);
}

const SessionPlanes::Plane* SessionPlanes::find(const std::string& session) const {
  const auto found = planes_.find(session);
  return found == planes_.end() ? nullptr : &found->second;
}

bool SessionPlanes::has_shm(const std::string& session) const {
  const Plane* plane = find(session);
  return plane && plane->state == State::kProved;
}

std::vector<std::string> SessionPlanes::planes(const std::string& session) const {
  if (has_shm(session)) return {"shm", "inline"};
  return {"inline"};
}

std::string SessionPlanes::reason(const std::string& session) const {
  const Plane* plane = find(session);
  return plane ? plane->why : why_not_;
}

TimePoint SessionPlanes::opened(const std::string& session) const {
  const Plane* plane = find(session);
  return plane ? plane->opened : TimePoint();
}

std::vector<std::string> SessionPlanes::fallbacks(TimePoint now) {
  std::vector<std::string> lines;
  for (auto& [session, plane] : planes_) {
    const bool may_come = plane.state == State::kOffered || plane.state == State::kClaimed;
    if (plane.told || plane.why.empty() || (may_come && now - plane.opened < kTimeToCome)) continue;
    plane.told = true;
    lines.push_back(fallback_of(plane));
  }
  return lines;
}

}  // namespace luna::front
