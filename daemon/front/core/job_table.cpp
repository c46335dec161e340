#include "daemon/front/core/job_table.h"

#include <algorithm>
#include <utility>

namespace luna::front {
namespace {

void decrease(std::map<std::string, std::uint32_t>& counts, const std::string& key) {
  const auto found = counts.find(key);
  if (found != counts.end() && --found->second == 0) counts.erase(found);
}

}  // namespace

std::uint64_t JobTable::retry_hint_ms() const {
  return static_cast<std::uint64_t>(std::clamp(seconds_between_ends_ * 1000.0, 20.0, 30000.0));
}

Status JobTable::check_room(const std::string& workflow) const {
  if (unfinished_total_ >= limits_.queue_total) {
    return error(StatusCode::kResourceExhausted,
                 "{} jobs are unfinished, as many as [limits] queue_total allows; retry in {} ms",
                 unfinished_total_, retry_hint_ms());
  }
  const auto found = unfinished_.find(workflow);
  if (found != unfinished_.end() && found->second >= limits_.queue_per_workflow) {
    return error(StatusCode::kResourceExhausted,
                 "{} jobs of workflow '{}' are unfinished, as many as [limits] queue_per_workflow "
                 "allows; retry in {} ms",
                 found->second, workflow, retry_hint_ms());
  }
  return {};
}

JobRecord& JobTable::add(JobRecord record) {
  const Job& job = *record.job;
  if (!record.internal) {
    ++totals_.accepted;
    ++unfinished_total_;
    ++unfinished_[job.workflow];
  }
  JobRecord& added = records_.emplace(job.id, std::move(record)).first->second;
  if (!added.device_uuid.empty()) for_devices_.insert(added.job->id);
  if (!added.pinned) add_waiting(added);
  return added;
}

JobRecord* JobTable::find(JobId id) {
  const auto found = records_.find(id);
  return found == records_.end() ? nullptr : &found->second;
}

void JobTable::add_waiting(const JobRecord& record) {
  const Job& job = *record.job;
  if (record.suspect) {
    waiting_suspects_.emplace(job.priority, job.id);
  } else {
    waiting_[job.priority][{job.workflow, record.seat()}].insert(job.id);
  }
}

void JobTable::drop_waiting(const JobRecord& record) {
  waiting_suspects_.erase({record.job->priority, record.job->id});
  const auto priority = waiting_.find(record.job->priority);
  if (priority == waiting_.end()) return;
  const auto workflow = priority->second.find({record.job->workflow, record.seat()});
  if (workflow == priority->second.end()) return;
  workflow->second.erase(record.job->id);
  if (workflow->second.empty()) priority->second.erase(workflow);
}

JobRecord JobTable::remove(JobId id, TimePoint now) {
  auto node = records_.extract(id);
  JobRecord record = std::move(node.mapped());
  for_devices_.erase(id);
  drop_waiting(record);
  if (record.worker) end_run(record);
  if (!record.internal) {
    --unfinished_total_;
    decrease(unfinished_, record.job->workflow);
    if (last_end_ != TimePoint{}) {
      const double gap = std::chrono::duration<double>(now - last_end_).count();
      seconds_between_ends_ = 0.9 * seconds_between_ends_ + 0.1 * gap;
    }
    last_end_ = now;
  }
  return record;
}

JobRecord* JobTable::next_queued(const std::set<Seat>& full) {
  const auto running_of = [&](const std::string& workflow) {
    const auto found = running_.find(workflow);
    return found == running_.end() ? 0u : found->second;
  };
  for (const auto& [priority, workflows] : waiting_) {
    std::optional<std::pair<std::uint32_t, JobId>> fairest;
    for (const auto& [key, jobs] : workflows) {
      if (full.contains(key.second)) continue;
      const std::pair next(running_of(key.first), *jobs.begin());
      if (!fairest || next < *fairest) fairest = next;
    }
    if (fairest) return find(fairest->second);
  }
  return nullptr;
}

JobRecord* JobTable::next_suspect() {
  if (running_suspect_ || waiting_suspects_.empty()) return nullptr;
  return find(waiting_suspects_.begin()->second);
}

void JobTable::to_worker(JobRecord& record, WorkerId worker, std::uint64_t life) {
  drop_waiting(record);
  record.worker = worker;
  record.worker_life = life;
  record.sent = false;
  ++record.runs;
  ++running_[record.job->workflow];
  if (record.suspect) running_suspect_ = record.job->id;
}

void JobTable::end_run(const JobRecord& record) {
  decrease(running_, record.job->workflow);
  if (running_suspect_ == record.job->id) running_suspect_.reset();
}

void JobTable::to_orphans(JobRecord& record) {
  end_run(record);
  record.worker.reset();
  record.sent = false;
  record.orphaned = true;
}

void JobTable::to_queue(JobRecord& record) {
  record.orphaned = false;
  ++totals_.rerun;
  add_waiting(record);
}

std::vector<JobId> JobTable::all() const {
  std::vector<JobId> ids;
  for (const auto& [id, record] : records_) ids.push_back(id);
  return ids;
}

std::vector<JobId> JobTable::queued() const {
  std::vector<JobId> ids;
  for (const auto& [id, record] : records_) {
    if (!record.worker) ids.push_back(id);
  }
  return ids;
}

std::vector<JobId> JobTable::queued(std::optional<Role> role) const {
  std::vector<JobId> ids;
  for (const auto& [id, record] : records_) {
    if (!record.worker && record.role == role) ids.push_back(id);
  }
  return ids;
}

std::vector<JobId> JobTable::queued_for_devices() const {
  std::vector<JobId> ids;
  for (const JobId id : for_devices_) {
    if (!records_.at(id).worker) ids.push_back(id);
  }
  return ids;
}

std::uint64_t JobTable::waiting(std::optional<Role> role) const {
  std::uint64_t count = 0;
  for (const auto& [id, record] : records_) count += !record.worker && record.role == role;
  return count;
}

std::vector<JobId> JobTable::overdue() const {
  std::vector<JobId> ids;
  for (const auto& [id, record] : records_) {
    if (!record.worker && record.job->deadline.expired()) ids.push_back(id);
  }
  return ids;
}

std::vector<JobId> JobTable::of_session(const std::string& session) const {
  std::vector<JobId> ids;
  for (const auto& [id, record] : records_) {
    if (record.session == session) ids.push_back(id);
  }
  return ids;
}

JobTotals JobTable::totals() const {
  JobTotals totals = totals_;
  for (const auto& [id, record] : records_) ++(record.worker ? totals.running : totals.queued);
  return totals;
}

std::vector<QueueInfo> JobTable::queues(TimePoint now) const {
  std::map<std::pair<Priority, std::string>, QueueInfo> queues;
  for (const auto& [id, record] : records_) {
    if (record.worker || record.internal) continue;
    const Job& job = *record.job;
    QueueInfo& queue = queues[{job.priority, job.workflow}];
    queue.workflow = job.workflow;
    queue.priority = job.priority;
    const double waited = std::chrono::duration<double>(now - record.admitted).count();
    queue.oldest_wait_seconds = std::max(queue.oldest_wait_seconds, waited);
    ++queue.jobs;
  }
  std::vector<QueueInfo> out;
  for (auto& [key, queue] : queues) out.push_back(std::move(queue));
  return out;
}

}  // namespace luna::front
