#include "daemon/front/core/step_table.h"

#include <algorithm>

namespace luna::front {

Result<StepsId> StepTable::open(const std::string& session, const std::string& workflow,
                                WorkerId worker) {
  const auto open = std::ranges::count_if(
      sockets_, [&](const auto& entry) { return entry.second.session == session; });
  if (open >= static_cast<std::ptrdiff_t>(max_per_session_)) {
    return error(StatusCode::kResourceExhausted,
                 "the session has {} step sockets open, as many as [limits] "
                 "step_sockets_per_session allows",
                 open);
  }
  const StepsId id{++last_id_};
  Socket socket;
  socket.id = id;
  socket.session = session;
  socket.workflow = workflow;
  socket.worker = worker;
  sockets_.emplace(id, std::move(socket));
  return id;
}

const StepTable::Socket* StepTable::told(StepsId id) {
  const auto found = sockets_.find(id);
  if (found == sockets_.end()) return nullptr;
  found->second.told = true;
  return found->second.closing ? &found->second : nullptr;
}

std::vector<StepTable::Socket> StepTable::close(const std::function<bool(const Socket&)>& which,
                                                bool at_once) {
  std::vector<Socket> to_tell;
  for (auto& [id, socket] : sockets_) {
    const bool new_to_it = !socket.closing || (at_once && !socket.at_once);
    if (!new_to_it || !which(socket)) continue;
    socket.closing = true;
    socket.at_once = at_once;
    if (socket.told) to_tell.push_back(socket);
  }
  return to_tell;
}

bool StepTable::count(Socket& socket, std::uint64_t evaluations) {
  if (evaluations <= socket.evaluations) return false;
  evaluations_ += evaluations - socket.evaluations;
  socket.evaluations = evaluations;
  return true;
}

void StepTable::ended(StepsId id, std::uint64_t evaluations) {
  const auto found = sockets_.find(id);
  if (found == sockets_.end()) return;
  count(found->second, evaluations);
  sockets_.erase(found);
}

void StepTable::worker_gone(WorkerId worker) {
  std::erase_if(sockets_, [&](const auto& entry) { return entry.second.worker == worker; });
}

std::vector<std::string> StepTable::count(
    const std::map<std::uint64_t, std::uint64_t>& evaluations) {
  std::vector<std::string> used;
  for (const auto& [id, number] : evaluations) {
    const auto found = sockets_.find(StepsId{id});
    if (found != sockets_.end() && count(found->second, number)) {
      used.push_back(found->second.workflow);
    }
  }
  return used;
}

std::uint32_t StepTable::open_sockets() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(sockets_, [](const auto& entry) { return !entry.second.closing; }));
}

}  // namespace luna::front
