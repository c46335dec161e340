#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace luna::support {

/// How large the world of a random schedule is.
inline constexpr int kScheduleClients = 3, kScheduleWorkflows = 3, kScheduleCheckpoints = 3;
inline constexpr int kScheduleSeeds = 2;
inline constexpr int kShortRun = 3, kLongRun = 30;  ///< steps
/// Kills in one schedule: a call survives so many, one more may end it (max_reruns).
inline constexpr int kMostKills = 3;

/// One thing that happens in a schedule.
struct ScheduleStep {
  enum class Kind {
    kRegister,       ///< registers the id, or switches it to another checkpoint; waits for it
    kRegisterAside,  ///< the same, while the schedule goes on
    kSample,
    kSampleRunning,  ///< samples, and goes on when the run has begun
    kCancel,         ///< cancels one of the calls that run
    kRelease,
    kExpire,  ///< lets the lease run out, when it is a short one
    kUpload,  ///< puts a tensor, and reads it again
    kKillWorker,
    kOverload,  ///< more calls than the queue takes
    kClientDies,
    kPause,  ///< waits for one of the calls that run
  };
  Kind kind = Kind::kSample;
  int client = 0, workflow = 0, checkpoint = 0, seed = 0, steps = kShortRun;
  bool short_lease = false;
  bool keep = false;        ///< the latent stays on the server
  std::uint32_t which = 0;  ///< of the calls or workers there are
};

std::vector<ScheduleStep> random_schedule(std::uint64_t seed);
/// One line that a person can read.
std::string in_words(const ScheduleStep& step);

}  // namespace luna::support
