#include "daemon/ipc/session/job_table.h"

namespace luna::ipc {

bool JobTable::add(JobId id, Entry entry) {
  const TimePoint expires = entry.expires;
  if (!entries_.emplace(id, std::move(entry)).second) return false;
  if (expires != TimePoint::max()) expiries_.emplace(expires, id);
  return true;
}

JobTable::Entry* JobTable::find(JobId id) {
  const auto at = entries_.find(id);
  return at == entries_.end() ? nullptr : &at->second;
}

void JobTable::expire_by(JobId id, TimePoint at) {
  Entry* entry = find(id);
  if (entry == nullptr || entry->expires <= at) return;
  forget_expiry(id, entry->expires);
  entry->expires = at;
  expiries_.emplace(at, id);
}

std::optional<JobTable::Entry> JobTable::take(JobId id) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) return std::nullopt;
  Entry entry = std::move(at->second);
  entries_.erase(at);
  forget_expiry(id, entry.expires);
  return entry;
}

std::vector<std::pair<JobId, JobTable::Entry>> JobTable::take_expired(TimePoint now) {
  std::vector<std::pair<JobId, Entry>> taken;
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    const JobId id = expiries_.begin()->second;
    taken.emplace_back(id, *take(id));
  }
  return taken;
}

std::vector<std::pair<JobId, JobTable::Entry>> JobTable::take_all() {
  std::vector<std::pair<JobId, Entry>> taken;
  taken.reserve(entries_.size());
  for (auto& [id, entry] : entries_) taken.emplace_back(id, std::move(entry));
  entries_.clear();
  expiries_.clear();
  return taken;
}

JobTable::TimePoint JobTable::next_expiry() const {
  return expiries_.empty() ? TimePoint::max() : expiries_.begin()->first;
}

void JobTable::forget_expiry(JobId id, TimePoint at) {
  const auto [first, last] = expiries_.equal_range(at);
  for (auto entry = first; entry != last; ++entry) {
    if (entry->second == id) {
      expiries_.erase(entry);
      return;
    }
  }
}

}  // namespace luna::ipc
