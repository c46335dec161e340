// The part of JobFlow that finds out which request ended a worker; the rules and their reasons
// stand in docs/decisions/0006-poison-requests.md.
#include <mutex>
#include <set>
#include <utility>

#include "daemon/front/core/job_flow.h"

namespace luna::front {

bool JobFlow::worker_gone(WorkerId id, const WorkerEnd& end) {
  WorkerTable::Jobs orphans;
  {
    std::lock_guard lock(state_->mutex);
    orphans = state_->workers.take_orphans(id);
    state_->workers.gone(id, end, state_->draining, state_->clock());
    state_->events.add(fmt::format("worker {} is gone: {}{}", id.value, end.in_words(),
                                   orphans.empty()
                                       ? ""
                                       : fmt::format("; {} job{} running on it", orphans.size(),
                                                     orphans.size() == 1 ? " was" : "s were")));
  }
  std::vector<Victim> victims;
  for (std::shared_ptr<const Job>& job : orphans) {
    std::string fingerprint = end.suspicious() ? state_->fingerprint(*job) : "";
    victims.push_back({std::move(job), std::move(fingerprint)});
  }
  Deferred after;
  std::lock_guard lock(state_->mutex);
  const bool convicted = end.suspicious() ? judge(victims, end, after) : false;
  for (const Victim& victim : victims) {
    JobRecord* record = state_->jobs.find(victim.job->id);
    if (record && record->orphaned) run_again(*record, end.in_words(), after);
  }
  dispatch(after);
  return convicted;
}

bool JobFlow::judge(const std::vector<Victim>& victims, const WorkerEnd& end, Deferred& after) {
  const TimePoint now = state_->clock();
  PoisonTable& poison = state_->poison;
  std::set<std::string> present;
  std::set<std::string> guilty;
  for (const Victim& victim : victims) {
    present.insert(victim.fingerprint);
    if (!poison.refusal(victim.fingerprint, now).ok()) guilty.insert(victim.fingerprint);
  }
  const bool alone = present.size() == 1;
  // With one among them that is known to be guilty, the others are not suspected.
  const bool search = guilty.empty();
  for (const std::string& fingerprint : search ? present : std::set<std::string>()) {
    if (!end.is_fault()) {
      poison.suspect(fingerprint, now);
    } else if (poison.blame(fingerprint, end.how, alone, now)) {
      guilty.insert(fingerprint);
    }
  }
  for (const Victim& victim : victims) {
    JobRecord* record = state_->jobs.find(victim.job->id);
    if (!record || !record->orphaned) continue;
    record->fingerprint = victim.fingerprint;
    if (guilty.contains(victim.fingerprint)) continue;
    if (search) record->suspect = true;
  }
  for (const std::string& fingerprint : guilty) convict(fingerprint, after);
  return !guilty.empty();
}

void JobFlow::convict(const std::string& fingerprint, Deferred& after) {
  const Status refusal = state_->poison.refusal(fingerprint, state_->clock());
  std::string whose = "of a client that is gone";
  for (const JobId id : state_->jobs.queued()) {
    const JobRecord* record = state_->jobs.find(id);
    if (record->fingerprint != fingerprint) continue;
    whose =
        record->internal ? "about a file" : fmt::format("of workflow '{}'", record->job->workflow);
    finish(id, refusal, after);
  }
  state_->events.add(fmt::format("a request {}: {}", whose, refusal.message()));
}

}  // namespace luna::front
