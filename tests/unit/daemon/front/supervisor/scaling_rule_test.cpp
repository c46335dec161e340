#include "daemon/front/supervisor/scaling_rule.h"

#include <gtest/gtest.h>

namespace luna::front {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint at(milliseconds time) { return TimePoint(seconds(1000)) + time; }
TimePoint at(seconds time) { return at(milliseconds(time)); }

PoolLoad::Worker worker(std::uint64_t id, std::uint32_t jobs, seconds idle_since = seconds(0)) {
  return {WorkerId{id}, true, jobs, at(idle_since)};
}

class Scaling : public testing::Test {
 protected:
  Config::Pool config_{.scale_up_jobs = 4, .scale_up_wait_ms = 1000, .scale_down_idle_seconds = 60};
};

TEST_F(Scaling, TheFirstWorkerStartsAsSoonAsSomethingWaits) {
  ScalingRule rule(config_);
  EXPECT_FALSE(rule.wants_more({.workers = {}, .waiting = 0}, at(seconds(0))));
  EXPECT_TRUE(rule.wants_more({.workers = {}, .waiting = 1}, at(seconds(0))));
}

TEST_F(Scaling, AnotherStartsWhenTheQueueHasBeenLongForTheWholeWait) {
  ScalingRule rule(config_);
  const PoolLoad busy{.workers = {worker(1, 5)}};
  EXPECT_FALSE(rule.wants_more(busy, at(milliseconds(0))));
  EXPECT_FALSE(rule.wants_more(busy, at(milliseconds(999))));
  EXPECT_TRUE(rule.wants_more(busy, at(milliseconds(1000))));
}

TEST_F(Scaling, AQueueThatGrowsShortForAMomentBeginsTheWaitAnew) {
  ScalingRule rule(config_);
  EXPECT_FALSE(rule.wants_more({.workers = {worker(1, 5)}}, at(milliseconds(0))));
  EXPECT_FALSE(rule.wants_more({.workers = {worker(1, 4)}}, at(milliseconds(500))));
  EXPECT_FALSE(rule.wants_more({.workers = {worker(1, 5)}}, at(milliseconds(1000))));
  EXPECT_TRUE(rule.wants_more({.workers = {worker(1, 5)}}, at(milliseconds(2000))));
}

TEST_F(Scaling, JobsThatNoWorkerHasYetCountToo) {
  ScalingRule rule(config_);
  const PoolLoad busy{.workers = {worker(1, 2)}, .waiting = 3};
  EXPECT_FALSE(rule.wants_more(busy, at(seconds(0))));
  EXPECT_TRUE(rule.wants_more(busy, at(seconds(1))));
}

TEST_F(Scaling, OneAtATimeWhileAWorkerStartsNoOtherDoes) {
  ScalingRule rule(config_);
  PoolLoad load{.workers = {worker(1, 50), {WorkerId{2}, false, 0, at(seconds(0))}}};
  EXPECT_FALSE(rule.wants_more(load, at(seconds(0))));
  EXPECT_FALSE(rule.wants_more(load, at(seconds(10))));
  load.workers[1].ready = true;
  EXPECT_FALSE(rule.wants_more(load, at(seconds(11))));
  EXPECT_TRUE(rule.wants_more(load, at(seconds(12))));
}

TEST_F(Scaling, TheWorkerThatHasBeenIdleLongestEnds) {
  const ScalingRule rule(config_);
  const PoolLoad load{
      .workers = {worker(1, 0, seconds(20)), worker(2, 0, seconds(10)), worker(3, 1, seconds(0))}};
  EXPECT_EQ(rule.wants_to_end(load, at(seconds(69))), std::nullopt);
  EXPECT_EQ(rule.wants_to_end(load, at(seconds(70))), WorkerId{2});
}

TEST_F(Scaling, NoWorkerEndsWhenTheIdleTimeIsZero) {
  config_.scale_down_idle_seconds = 0;
  const ScalingRule rule(config_);
  EXPECT_EQ(rule.wants_to_end({.workers = {worker(1, 0)}}, at(seconds(100'000))), std::nullopt);
}

}  // namespace
}  // namespace luna::front
