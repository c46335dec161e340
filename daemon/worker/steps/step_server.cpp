#include "daemon/worker/steps/step_server.h"

#include <mutex>
#include <utility>

#include "common/log/log.h"
#include "daemon/worker/steps/step_connection.h"

namespace luna::worker {
namespace {

/// Beyond the numbers that the front gives its jobs.
constexpr std::uint64_t kFirstJob = std::uint64_t{1} << 63;

}  // namespace

struct StepServer::State : std::enable_shared_from_this<State> {
  State(Engine& engine_in, Ended on_ended_in)
      : engine(engine_in), on_ended(std::move(on_ended_in)) {}

  struct Entry {
    std::shared_ptr<StepConnection> connection;
    std::uint64_t evaluations = 0;
  };

  void evaluated(StepsId id) {
    std::lock_guard lock(mutex);
    if (const auto found = entries.find(id); found != entries.end()) ++found->second.evaluations;
  }
  void ended(StepsId id) {
    std::uint64_t evaluations = 0;
    {
      std::lock_guard lock(mutex);
      const auto found = entries.find(id);
      if (found == entries.end()) return;
      evaluations = found->second.evaluations;
      entries.erase(found);
    }
    on_ended(id, evaluations);
  }

  Engine& engine;
  const Ended on_ended;
  mutable std::mutex mutex;
  std::map<StepsId, Entry> entries;
  std::uint64_t last_job = kFirstJob;  ///< of the device thread
};

StepServer::StepServer(Engine& engine, Ended on_ended)
    : state_(std::make_shared<State>(engine, std::move(on_ended))) {}

StepServer::~StepServer() = default;

void StepServer::open(StepsOpening opening, UniqueFd socket) {
  const StepsId id = opening.id;
  // The connection belongs to the state, which the engine's last calls may outlive.
  StepConnection::Owner owner;
  owner.next_job = [state = std::weak_ptr(state_)] {
    const auto self = state.lock();
    return JobId{self ? ++self->last_job : kFirstJob};
  };
  owner.on_evaluated = [state = std::weak_ptr(state_), id] {
    if (const auto self = state.lock()) self->evaluated(id);
  };
  owner.on_ended = [state = std::weak_ptr(state_), id] {
    if (const auto self = state.lock()) self->ended(id);
  };
  auto connection = std::make_shared<StepConnection>(state_->engine, std::move(opening),
                                                     std::move(socket), std::move(owner));
  {
    std::unique_lock lock(state_->mutex);
    if (state_->entries.size() >= kMostSockets || state_->entries.contains(id)) {
      lock.unlock();
      log::logger("steps").warn("step socket {} is refused: {} are open", id.value, kMostSockets);
      return state_->on_ended(id, 0);
    }
    state_->entries.emplace(id, State::Entry{connection, 0});
  }
  state_->engine.post([connection = std::move(connection)] { connection->start(); });
}

std::map<std::uint64_t, std::uint64_t> StepServer::evaluations() const {
  std::lock_guard lock(state_->mutex);
  std::map<std::uint64_t, std::uint64_t> all;
  for (const auto& [id, entry] : state_->entries) all[id.value] = entry.evaluations;
  return all;
}

}  // namespace luna::worker
