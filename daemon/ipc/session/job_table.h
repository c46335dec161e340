#pragma once

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/base/deadline.h"
#include "common/types/job.h"

namespace luna::ipc {

/// The unfinished jobs of one link and when each is given up. Who takes a job out answers it: that
/// makes on_done come exactly once. Not thread-safe.
class JobTable {
 public:
  using TimePoint = Deadline::Clock::time_point;
  struct Entry {
    std::shared_ptr<const JobEvents> events;
    bool sent = false;       ///< the worker has been told of it
    bool cancelled = false;  ///< ... and told to stop
    TimePoint expires = TimePoint::max();
  };

  /// False when the id is already there.
  bool add(JobId id, Entry entry);
  /// nullptr when there is none of that id.
  Entry* find(JobId id);
  /// Gives the job up at `at` unless that happens earlier anyway.
  void expire_by(JobId id, TimePoint at);
  std::optional<Entry> take(JobId id);
  std::vector<std::pair<JobId, Entry>> take_expired(TimePoint now);
  std::vector<std::pair<JobId, Entry>> take_all();
  /// TimePoint::max() when nothing ever expires.
  TimePoint next_expiry() const;
  std::size_t size() const { return entries_.size(); }

 private:
  void forget_expiry(JobId id, TimePoint at);

  std::unordered_map<JobId, Entry> entries_;
  std::multimap<TimePoint, JobId> expiries_;  ///< finite ones only
};

}  // namespace luna::ipc
