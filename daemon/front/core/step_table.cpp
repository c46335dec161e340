#include "daemon/front/core/step_table.h"

#include <algorithm>
#include <utility>

#include <sys/socket.h>

namespace luna::front {

Result<StepsId> StepTable::open(const std::string& session, const std::string& workflow,
                                WorkerId worker, UniqueFd served) {
  const auto open = std::ranges::count_if(
      sockets_, [&](const auto& entry) { return entry.second.session == session; });
  if (open >= static_cast<std::ptrdiff_t>(max_per_session_)) {
    return error(StatusCode::kResourceExhausted,
                 "the session has {} step sockets open, as many as [limits] "
                 "step_sockets_per_session allows",
                 open);
  }
  const StepsId id{++last_id_};
  sockets_.emplace(id, Socket{session, workflow, worker, std::move(served), 0, false});
  return id;
}

void StepTable::end(const std::function<bool(const Socket&)>& which, Ending ending) {
  for (auto& [id, socket] : sockets_) {
    if (!which(socket)) continue;
    socket.ending = true;
    ::shutdown(socket.served.get(), ending == Ending::kAtOnce ? SHUT_RDWR : SHUT_RD);
  }
}

void StepTable::end_of_session(const std::string& session) {
  end([&](const Socket& socket) { return socket.session == session; }, Ending::kAtOnce);
}

void StepTable::end_of_workflow(const std::string& workflow) {
  end([&](const Socket& socket) { return socket.workflow == workflow; }, Ending::kAnswerFirst);
}

void StepTable::end_all() {
  end([](const Socket&) { return true; }, Ending::kAnswerFirst);
}

void StepTable::worker_gone(WorkerId worker) {
  const auto its = [&](const Socket& socket) { return socket.worker == worker; };
  end(its, Ending::kAtOnce);
  std::erase_if(sockets_, [&](const auto& entry) { return its(entry.second); });
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
  ::shutdown(found->second.served.get(), SHUT_RDWR);
  sockets_.erase(found);
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
      std::ranges::count_if(sockets_, [](const auto& entry) { return !entry.second.ending; }));
}

}  // namespace luna::front
