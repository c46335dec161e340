// The part of JobFlow that puts one request to all workers and makes one answer of theirs.
#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "daemon/front/core/job_flow.h"
#include "daemon/front/core/reply_collector.h"

namespace luna::front {
namespace {

/// Copies of one component on workers of the same device count as one entry.
void add(std::vector<LoadedModel>& all, std::vector<LoadedModel> more) {
  for (LoadedModel& model : more) {
    const auto known = std::ranges::find_if(all, [&](const LoadedModel& other) {
      return other.info.slot == model.info.slot && other.precision == model.precision &&
             other.device == model.device && other.info.content_hash == model.info.content_hash;
    });
    if (known == all.end()) {
      all.push_back(std::move(model));
      continue;
    }
    known->resident_bytes += model.resident_bytes;
    known->uses += model.uses;
    known->jobs += model.jobs;
    known->pinned |= model.pinned;
  }
}

void add(UnloadModelReply& sum, UnloadModelReply reply) {
  sum.freed_bytes += reply.freed_bytes;
  add(sum.unloaded, std::move(reply.unloaded));
  add(sum.held, std::move(reply.held));
}

void add(RestoreModelReply& sum, RestoreModelReply reply) {
  add(sum.restored, std::move(reply.restored));
}

template <class Reply>
Result<Reply> sum_of(std::vector<Result<JobReply>> replies) {
  Reply sum;
  for (Result<JobReply>& reply : replies) {
    if (!reply.ok()) {
      // A worker that is gone holds nothing any more.
      if (reply.status().code() == StatusCode::kUnavailable) continue;
      return reply.status();
    }
    if (auto* own = std::get_if<Reply>(&*reply)) add(sum, std::move(*own));
  }
  return sum;
}

}  // namespace

void JobFlow::run_everywhere(const Caller& caller, const JobRequest& request, JobEvents events) {
  std::vector<WorkerId> workers;
  {
    std::lock_guard lock(state_->mutex);
    ++state_->jobs.counters().accepted;
    workers = state_->workers.ready_ids();
  }
  const auto receivers = ReplyCollector::receivers(
      workers.size(), [self = shared_from_this(), request,
                       on_done = std::move(events.on_done)](std::vector<Result<JobReply>> replies) {
        Result<JobReply> answer = self->together(request, std::move(replies));
        {
          std::lock_guard lock(self->state_->mutex);
          JobTotals& totals = self->state_->jobs.counters();
          ++(answer.ok() ? totals.done : totals.failed);
        }
        if (on_done) on_done(std::move(answer));
      });
  for (std::size_t i = 0; i < workers.size(); ++i) {
    Deferred after;
    std::lock_guard lock(state_->mutex);
    JobRecord record;
    record.internal = true;
    record.pinned = workers[i];
    record.events.on_done = receivers[i];
    record.job = std::make_shared<const Job>(
        Job{state_->jobs.next_id(), "", caller.priority, caller.deadline, {}, request});
    JobRecord& added = state_->jobs.add(std::move(record));
    if (state_->workers.port(workers[i])) {
      start(added, workers[i], after);
    } else {
      finish(added.job->id, error(StatusCode::kUnavailable, "the worker is gone"), after);
    }
  }
}

Result<JobReply> JobFlow::together(const JobRequest& request,
                                   std::vector<Result<JobReply>> replies) {
  if (std::holds_alternative<RestoreModelRequest>(request)) {
    LUNA_ASSIGN_OR_RETURN(RestoreModelReply sum, sum_of<RestoreModelReply>(std::move(replies)));
    return JobReply(std::move(sum));
  }
  const auto& unload = std::get<UnloadModelRequest>(request);
  LUNA_ASSIGN_OR_RETURN(UnloadModelReply sum, sum_of<UnloadModelReply>(std::move(replies)));
  std::lock_guard lock(state_->mutex);
  HostShelf& shelf = state_->host_shelf;
  if (unload.host) {
    std::set<std::string> held;
    for (const LoadedModel& model : sum.held) held.insert(model.info.content_hash);
    sum.host_freed_bytes = shelf.drop(unload.path, unload.slot, held);
  }
  for (LoadedModel& model : sum.unloaded) {
    model.tier = shelf.has(model.info.content_hash) ? Tier::kHost : Tier::kFile;
  }
  return JobReply(std::move(sum));
}

}  // namespace luna::front
