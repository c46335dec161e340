#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "common/base/strong_id.h"
#include "common/types/host_weights.h"
#include "daemon/front/core/clock.h"

namespace luna::front {

/// Who reads which component now, and who waits for what is read: of the workers that seek one
/// component at the same moment one reads the file. The others are answered when it has offered the
/// weights, has failed, is gone, or has kept them waiting for `patience`.
///
/// Calls out to nobody: what a call returns are the answers that are due, each exactly once. Not
/// thread-safe.
class WeightSeekers {
 public:
  /// The weights, or nullopt: read it yourself, and say how that went.
  using Answer = std::function<void(std::optional<HostWeights>)>;
  using Answers = std::vector<Answer>;

  /// Seeks that wait, of all workers; whoever comes beyond that reads for itself.
  static constexpr std::size_t kMaxWaiting = 4096;

  explicit WeightSeekers(std::chrono::nanoseconds patience) : patience_(patience) {}

  /// A worker seeks what is not on the shelf. Returned, it shall read; else its answer waits.
  Answers seek(const ComponentSource& source, WorkerId worker, Answer answer, TimePoint now);
  /// The weights are there: everybody who waited for them.
  Answers offered(const ComponentSource& source);
  /// The worker reads it no more. When nobody does, the one that has waited longest shall.
  Answers failed(const ComponentSource& source, WorkerId worker);
  /// All that the worker read or waited for; nothing of its own is returned.
  Answers gone(WorkerId worker);
  /// Those that have waited for `patience`: they shall read.
  Answers overdue(TimePoint now);

  std::size_t waiting() const { return waiting_; }

 private:
  struct Waiter {
    WorkerId worker;
    Answer answer;
    TimePoint until;
  };
  struct Reading {
    std::set<WorkerId> readers;  ///< more than one after somebody's patience has ended
    std::list<Waiter> waiters;   ///< the longest wait first
  };
  using Readings = std::map<ComponentSource, Reading>;
  /// Moves the first waiter among the readers; its answer.
  Answer take_first(Reading& reading);
  /// After a reader was lost: the next one, or the end of the entry. Goes on with the next entry.
  Readings::iterator settle(Readings::iterator entry, Answers& due);

  const std::chrono::nanoseconds patience_;
  std::size_t waiting_ = 0;
  Readings readings_;
};

}  // namespace luna::front
