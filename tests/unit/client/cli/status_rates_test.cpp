#include "client/cli/status_rates.h"

#include <gtest/gtest.h>

namespace luna::client {
namespace {

/// A status of a daemon with one worker, whose report is `report_age` old.
StatusInfo status_at(double uptime, std::uint64_t forwards, double busy_seconds,
                     double report_age = 0) {
  StatusInfo status;
  status.uptime_seconds = uptime;
  WorkerInfo& worker = status.workers.emplace_back();
  worker.id = WorkerId{1};
  worker.pid = 100;
  worker.state = "ready";
  worker.seconds_since_heartbeat = report_age;
  ForwardCounters& unet = worker.report.forwards["unet"];
  unet.forwards = forwards;
  unet.rows = 2 * forwards;
  unet.seconds_on_device = busy_seconds;
  return status;
}

TEST(Rates, AreDifferencesOfTwoStatuses) {
  RateMeter meter;
  EXPECT_FALSE(meter.update(status_at(10, 100, 3.0)));
  StatusInfo later = status_at(12, 110, 4.0);
  later.jobs.done = 2;
  later.jobs.failed = 1;
  later.jobs.cancelled = 1;
  const auto rates = meter.update(later);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ(rates->seconds, 2);
  EXPECT_DOUBLE_EQ(rates->jobs_per_second, 2);
  EXPECT_DOUBLE_EQ(rates->forwards_per_second, 5);
  EXPECT_DOUBLE_EQ(rates->rows_per_second, 10);
  EXPECT_DOUBLE_EQ(rates->busy, 0.5);
  EXPECT_DOUBLE_EQ(rates->workers.at(WorkerId{1}).rows_per_second, 10);
}

TEST(Rates, OfAWorkerAreBetweenItsReportsAndStayUntilTheNextOne) {
  RateMeter meter;
  meter.update(status_at(10.0, 100, 3.0, 0.4));
  const auto first = meter.update(status_at(11.0, 110, 3.5, 0.4));
  EXPECT_DOUBLE_EQ(first->forwards_per_second, 10);
  const auto same_report = meter.update(status_at(11.3, 110, 3.5, 0.7));
  EXPECT_DOUBLE_EQ(same_report->forwards_per_second, 10);
  EXPECT_DOUBLE_EQ(same_report->busy, 0.5);
  const auto next = meter.update(status_at(11.7, 115, 4.0, 0.1));
  EXPECT_NEAR(next->forwards_per_second, 5, 1e-9);
}

TEST(Rates, ALongForwardKeepsItsDeviceBusyBeforeItEnds) {
  RateMeter meter;
  meter.update(status_at(10, 0, 0));
  StatusInfo within = status_at(12, 0, 0);
  within.workers[0].report.step_in_progress_ms = 2000;
  EXPECT_DOUBLE_EQ(meter.update(within)->busy, 1);
  EXPECT_DOUBLE_EQ(meter.update(status_at(14, 1, 4))->busy, 1);
  EXPECT_DOUBLE_EQ(meter.update(status_at(16, 1, 4))->busy, 0);
}

TEST(Rates, AWorkerThatWasStartedAnewBeginsAtZero) {
  RateMeter meter;
  meter.update(status_at(10, 1000, 100));
  StatusInfo anew = status_at(11, 5, 1);
  anew.workers[0].pid = 101;
  EXPECT_EQ(meter.update(anew)->forwards_per_second, 0);
  StatusInfo later = status_at(12, 8, 1.5);
  later.workers[0].pid = 101;
  EXPECT_DOUBLE_EQ(meter.update(later)->forwards_per_second, 3);
}

TEST(Rates, ADaemonThatWasStartedAnewHasNoneAtFirst) {
  RateMeter meter;
  meter.update(status_at(1000, 50, 5));
  EXPECT_FALSE(meter.update(status_at(1, 0, 0)));
  EXPECT_DOUBLE_EQ(meter.update(status_at(2, 4, 0))->forwards_per_second, 4);
}

TEST(Rates, BusyIsTheMeanOfTheReadyWorkers) {
  const auto two = [](double uptime, double busy, const std::string& state) {
    StatusInfo status = status_at(uptime, 0, busy);
    WorkerInfo other = status.workers[0];
    other.id = WorkerId{2};
    other.state = state;
    other.report.forwards.clear();
    status.workers.push_back(other);
    return status;
  };
  RateMeter meter;
  meter.update(two(10, 0, "ready"));
  EXPECT_DOUBLE_EQ(meter.update(two(11, 1, "ready"))->busy, 0.5);
  EXPECT_DOUBLE_EQ(meter.update(two(12, 2, "failed"))->busy, 1);
}

}  // namespace
}  // namespace luna::client
