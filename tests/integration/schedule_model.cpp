#include "tests/integration/schedule_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace luna::support {
namespace {

constexpr double kLargestError = 1e-4;
constexpr std::chrono::seconds kShortLease{1};

std::string in_words(const std::set<Binding>& bindings) {
  std::string text;
  for (const Binding& binding : bindings) {
    if (!text.empty()) text += " or ";
    text += binding ? fmt::format("checkpoint {}", *binding) : "nothing";
  }
  return text;
}

}  // namespace

void ScheduleModel::changes(int workflow, Binding to, bool short_lease) {
  Id& id = ids_[workflow];
  id.may_be.insert(to);
  id.changing = Clock::now();
  // The lease of what the id stood for until now may run out before the change is in place.
  if (short_lease && !std::exchange(id.short_lease, true)) id.renewed = id.changing;
  for (ScheduledCall& call : calls_) {
    if (call.workflow != workflow || call.answered || call.admitted) continue;
    call.candidates.insert(to);
    if (short_lease && !call.short_lease_renewed) call.short_lease_renewed = id.renewed;
  }
}

void ScheduleModel::settled(int workflow, Binding to, bool short_lease) {
  Id& id = ids_[workflow];
  id.may_be = {to};
  id.short_lease = short_lease;
  id.renewed = id.changing;
}

bool ScheduleModel::may_be(int workflow, Binding binding) const {
  const auto found = ids_.find(workflow);
  return found == ids_.end() ? !binding : found->second.may_be.contains(binding);
}

bool ScheduleModel::short_lease(int workflow) const {
  const auto found = ids_.find(workflow);
  return found != ids_.end() && found->second.short_lease;
}

ScheduledCall& ScheduleModel::starts(ScheduledCall call) {
  Id& id = ids_[call.workflow];
  call.started = Clock::now();
  call.candidates = id.may_be;
  if (id.short_lease) call.short_lease_renewed = id.renewed;
  return calls_.emplace_back(std::move(call));
}

std::string ScheduleModel::verdict(const ScheduledCall& call,
                                   const Result<SampleReply>& answer) const {
  if (answer.ok()) return latent_verdict(call, *answer);
  const Status& status = answer.status();
  const auto unless = [&](bool permitted, const char* why) {
    return permitted ? std::string() : fmt::format("{}, {}", status.to_string(), why);
  };
  switch (status.code()) {
    case StatusCode::kNotFound: {
      const bool lease_ended =
          call.short_lease_renewed && *call.answered - *call.short_lease_renewed >= kShortLease;
      return unless(call.candidates.contains(std::nullopt) || lease_ended,
                    "though the id was registered and its lease had not run out");
    }
    case StatusCode::kResourceExhausted:
      if (status.message().find("retry in ") == std::string::npos)
        return fmt::format("a refusal without a hint when to come back: {}", status.to_string());
      return unless(may_be_refused(call), "though the queue cannot have been full");
    case StatusCode::kCancelled:
      return unless(call.cancelled || call.client_died, "though nobody cancelled it");
    case StatusCode::kUnavailable:
      return unless(call.client_died, "though its client lives and few workers were killed");
    default:
      return status.to_string() + ", which nothing in the schedule explains";
  }
}

std::string ScheduleModel::latent_verdict(const ScheduledCall& call,
                                          const SampleReply& reply) const {
  if (call.endless) return "a call of thousands of steps came to its end";
  double least = INFINITY;
  for (const Binding& binding : call.candidates) {
    if (binding) least = std::min(least, error_of_(reply, *binding, call.seed, call.steps));
  }
  if (least < kLargestError) return "";
  return fmt::format("a latent that is not the one of {} (relative error {})",
                     in_words(call.candidates), least);
}

/// Calls were unfinished at the server no longer than from their start to their answer, but for
/// those that the client gave up: the server may have had them longer.
bool ScheduleModel::may_be_refused(const ScheduledCall& call) const {
  int same_workflow = 0, all = 0;
  for (const ScheduledCall& other : calls_) {
    if (&other == &call || other.started > *call.answered) continue;
    const bool over =
        other.answered && !other.cancelled && !other.client_died && *other.answered < call.started;
    if (over) continue;
    ++all;
    same_workflow += other.workflow == call.workflow;
  }
  return same_workflow >= limits_.per_workflow || all >= limits_.total;
}

}  // namespace luna::support
