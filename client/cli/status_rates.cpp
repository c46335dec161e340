#include "client/cli/status_rates.h"

#include <algorithm>

namespace luna::client {
namespace {

/// Two statuses between which no heartbeat came differ in its age by less than this.
constexpr double kSameReportSeconds = 0.01;

std::uint64_t ended(const JobTotals& jobs) { return jobs.done + jobs.failed + jobs.cancelled; }

/// Counters never fall; should one, nothing has happened.
double rise(double before, double now) { return std::max(0.0, now - before); }

}  // namespace

WorkerRates RateMeter::rates_of(const WorkerInfo& worker, double uptime) {
  Seen now;
  now.pid = worker.pid;
  now.reported_at = uptime - worker.seconds_since_heartbeat;
  for (const auto& [kind, counters] : worker.report.forwards) {
    now.forwards += counters.forwards;
    now.rows += counters.rows;
    now.busy_seconds += counters.seconds_on_device;
  }
  // A long forward counts while it runs, not all at once when it ends.
  now.busy_seconds += static_cast<double>(worker.report.step_in_progress_ms) / 1000;
  const auto [place, is_new] = workers_.try_emplace(worker.id, now);
  Seen& last = place->second;
  const double seconds = now.reported_at - last.reported_at;
  if (is_new || last.pid != now.pid) {
    last = now;
  } else if (seconds >= kSameReportSeconds) {
    const auto rate = [seconds](auto before, auto after) {
      return rise(static_cast<double>(before), static_cast<double>(after)) / seconds;
    };
    now.rates.forwards_per_second = rate(last.forwards, now.forwards);
    now.rates.rows_per_second = rate(last.rows, now.rows);
    now.rates.busy = std::min(1.0, rate(last.busy_seconds, now.busy_seconds));
    last = now;
  }
  return last.rates;
}

std::optional<StatusRates> RateMeter::update(const StatusInfo& status) {
  const double uptime = status.uptime_seconds;
  const bool comparable = uptime_ && uptime > *uptime_;
  if (!comparable) workers_.clear();
  StatusRates rates;
  std::size_t ready = 0;
  for (const WorkerInfo& worker : status.workers) {
    const WorkerRates own = rates_of(worker, uptime);
    rates.workers[worker.id] = own;
    rates.forwards_per_second += own.forwards_per_second;
    rates.rows_per_second += own.rows_per_second;
    if (worker.state != "ready") continue;
    rates.busy += own.busy;
    ++ready;
  }
  if (ready > 0) rates.busy /= static_cast<double>(ready);
  if (comparable) {
    rates.seconds = uptime - *uptime_;
    rates.jobs_per_second =
        rise(static_cast<double>(ended_), static_cast<double>(ended(status.jobs))) / rates.seconds;
  }
  uptime_ = uptime;
  ended_ = ended(status.jobs);
  return comparable ? std::optional(std::move(rates)) : std::nullopt;
}

}  // namespace luna::client
