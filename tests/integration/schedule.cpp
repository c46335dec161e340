#include "tests/integration/schedule.h"

#include <random>
#include <utility>

#include <fmt/format.h>

namespace luna::support {
namespace {

using Kind = ScheduleStep::Kind;

/// How often each kind comes, in relation to the others.
constexpr std::pair<Kind, int> kWeights[] = {
    {Kind::kRegister, 12},      {Kind::kRegisterAside, 8}, {Kind::kSample, 24},
    {Kind::kSampleRunning, 14}, {Kind::kCancel, 8},        {Kind::kRelease, 5},
    {Kind::kExpire, 4},         {Kind::kUpload, 5},        {Kind::kKillWorker, 5},
    {Kind::kOverload, 4},       {Kind::kClientDies, 5},    {Kind::kPause, 6}};

}  // namespace

std::vector<ScheduleStep> random_schedule(std::uint64_t seed) {
  // Not a distribution of the library: those differ between implementations.
  std::mt19937_64 random(seed);
  const auto below = [&](int limit) { return static_cast<int>(random() % limit); };
  int all = 0;
  for (const auto& [kind, weight] : kWeights) all += weight;
  std::vector<ScheduleStep> steps;
  const auto add = [&](Kind kind, int workflow) {
    ScheduleStep step;
    step.kind = kind;
    step.client = below(kScheduleClients);
    step.workflow = workflow;
    step.checkpoint = below(kScheduleCheckpoints);
    step.seed = below(kScheduleSeeds);
    step.steps = below(4) == 0 ? kLongRun : kShortRun;
    step.short_lease = below(3) == 0;
    step.keep = below(4) == 0;
    step.which = static_cast<std::uint32_t>(random());
    steps.push_back(step);
  };
  // Something to begin with; the last id stays unknown until the schedule registers it.
  for (int i = 0; i + 1 < kScheduleWorkflows; ++i) add(Kind::kRegister, i);
  const int length = 12 + below(8);
  int kills = 0;
  while (static_cast<int>(steps.size()) < length) {
    int place = below(all);
    Kind kind = Kind::kSample;
    for (const auto& [candidate, weight] : kWeights) {
      if (place < weight) {
        kind = candidate;
        break;
      }
      place -= weight;
    }
    if (kind == Kind::kKillWorker && ++kills > kMostKills) continue;
    add(kind, below(kScheduleWorkflows));
  }
  return steps;
}

std::string in_words(const ScheduleStep& step) {
  const std::string who = fmt::format("client {}", step.client);
  const std::string what = fmt::format("w{} as checkpoint {}{}", step.workflow, step.checkpoint,
                                       step.short_lease ? ", for a second without use" : "");
  const std::string run = fmt::format("w{}, seed {}, {} steps{}", step.workflow, step.seed,
                                      step.steps, step.keep ? ", kept on the server" : "");
  switch (step.kind) {
    case Kind::kRegister:
      return fmt::format("{} registers {}", who, what);
    case Kind::kRegisterAside:
      return fmt::format("{} begins to register {}", who, what);
    case Kind::kSample:
      return fmt::format("{} samples with {}", who, run);
    case Kind::kSampleRunning:
      return fmt::format("{} samples with {}, until it runs", who, run);
    case Kind::kCancel:
      return fmt::format("call {} (modulo those that run) is cancelled", step.which);
    case Kind::kRelease:
      return fmt::format("{} releases w{}", who, step.workflow);
    case Kind::kExpire:
      return fmt::format("the lease of w{} runs out, if it is a short one", step.workflow);
    case Kind::kUpload:
      return fmt::format("{} puts a tensor and reads it", who);
    case Kind::kKillWorker:
      return fmt::format("worker {} (modulo those there are) is killed", step.which);
    case Kind::kOverload:
      return fmt::format("{} sends more calls for w{} than the queue takes", who, step.workflow);
    case Kind::kClientDies:
      return fmt::format("{} dies", who);
    case Kind::kPause:
      return fmt::format("call {} (modulo those that run) is waited for", step.which);
  }
  return "?";
}

}  // namespace luna::support
