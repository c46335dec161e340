#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/types/job.h"

namespace luna::support {

/// What an id may stand for at the server: a checkpoint, or nothing.
using Binding = std::optional<int>;

struct QueueLimits {
  int per_workflow = 0, total = 0;
};

/// A sample call as the client knows it: what it is, when it was on its way, and what its id may
/// have stood for when it reached the server.
struct ScheduledCall {
  using Clock = std::chrono::steady_clock;

  int workflow = 0, seed = 0, steps = 0;
  bool endless = false;  ///< never reaches its end; it is cancelled
  Clock::time_point started{};
  std::optional<Clock::time_point> answered;
  std::set<Binding> candidates;
  bool admitted = false;   ///< seen running: what its id stands for later is nothing to it
  bool cancelled = false;  ///< by the client, or with it
  bool client_died = false;
  /// The lease could have run out by itself so long after this; nullopt: it was no short one.
  std::optional<Clock::time_point> short_lease_renewed;
};

/// The small model of the server that the random schedules are compared with: knows for every call
/// which answers are permitted. What cannot be known from outside (which of two concurrent calls
/// came first) is kept as a set of possibilities, never guessed.
class ScheduleModel {
 public:
  using Clock = ScheduledCall::Clock;
  /// Relative error of a reply against the reference of (checkpoint, seed, steps).
  using ErrorOf = std::function<double(const SampleReply&, int checkpoint, int seed, int steps)>;

  ScheduleModel(QueueLimits limits, ErrorOf error_of)
      : limits_(limits), error_of_(std::move(error_of)) {}

  /// The id will stand for `to` at some time from now on; settled() says that it does.
  void changes(int workflow, Binding to, bool short_lease);
  void settled(int workflow, Binding to, bool short_lease);
  bool may_be(int workflow, Binding binding) const;
  bool short_lease(int workflow) const;

  ScheduledCall& starts(ScheduledCall call);
  std::list<ScheduledCall>& calls() { return calls_; }

  /// "" when this answer to this call is permitted, else what is wrong with it.
  std::string verdict(const ScheduledCall& call, const Result<SampleReply>& answer) const;

 private:
  struct Id {
    std::set<Binding> may_be = {std::nullopt};
    bool short_lease = false;      ///< one of its registrations that may count
    Clock::time_point renewed{};   ///< the oldest of them, at the earliest
    Clock::time_point changing{};  ///< when the last change began
  };
  bool may_be_refused(const ScheduledCall& call) const;
  std::string latent_verdict(const ScheduledCall& call, const SampleReply& reply) const;

  const QueueLimits limits_;
  const ErrorOf error_of_;
  std::map<int, Id> ids_;
  std::list<ScheduledCall> calls_;
};

}  // namespace luna::support
