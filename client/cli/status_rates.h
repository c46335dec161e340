#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "common/types/info.h"

namespace luna::client {

struct WorkerRates {
  double forwards_per_second = 0;
  double rows_per_second = 0;
  double busy = 0;  ///< of the device, 0 to 1
};
/// What happened between two statuses, by the second.
struct StatusRates {
  double seconds = 0;          ///< between them
  double jobs_per_second = 0;  ///< that ended, however
  double forwards_per_second = 0;
  double rows_per_second = 0;
  double busy = 0;  ///< mean of the ready workers'
  std::map<WorkerId, WorkerRates> workers;
};

/// Makes rates of the counters of statuses that follow each other. A worker's counters come with
/// its heartbeats, so its rates are those between its last two reports, and stay when no new one
/// has come. A worker that was started anew begins at zero.
class RateMeter {
 public:
  /// nullopt for the first status, and the first of a daemon that was started anew.
  std::optional<StatusRates> update(const StatusInfo& status);

 private:
  struct Seen {
    std::int64_t pid = 0;
    double reported_at = 0;  ///< in seconds of the daemon's uptime
    std::uint64_t forwards = 0, rows = 0;
    double busy_seconds = 0;
    WorkerRates rates;
  };
  WorkerRates rates_of(const WorkerInfo& worker, double uptime);

  std::optional<double> uptime_;
  std::uint64_t ended_ = 0;
  std::map<WorkerId, Seen> workers_;
};

}  // namespace luna::client
