#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/front/core/worker_port.h"
#include "daemon/front/supervisor/placement.h"
#include "daemon/front/supervisor/restart_policy.h"

namespace luna::front {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = WorkerEnd::Kind;
using TimePoint = RestartPolicy::TimePoint;

Config::Supervision supervision() {
  Config::Supervision config;
  config.backoff_first_ms = 100;
  config.backoff_max_ms = 1000;
  config.crash_loop_limit = 6;
  config.crash_loop_seconds = 60;
  return config;
}

TEST(RestartPolicy, ThePauseDoublesWithEachDeathInARowUpToItsLimit) {
  RestartPolicy policy(supervision());
  std::vector<int> pauses;
  for (int i = 0; i < 5; ++i) {
    pauses.push_back(
        static_cast<int>(policy.after({TimePoint(seconds(i)), {}, Kind::kCrash})->count()));
  }
  EXPECT_THAT(pauses, testing::ElementsAre(100, 200, 400, 800, 1000));
}

TEST(RestartPolicy, AWorkerThatWasHealthyBeginsAnew) {
  RestartPolicy policy(supervision());
  for (int i = 0; i < 4; ++i) (void)policy.after({TimePoint(seconds(i)), {}, Kind::kCrash});
  EXPECT_EQ(policy.after({TimePoint(seconds(20)), TimePoint(seconds(10)), Kind::kCrash}),
            milliseconds(100));
}

TEST(RestartPolicy, TooManyFaultsOfAnyKindWithinTheTimeMeanThatItStaysDown) {
  for (const Kind kind : {Kind::kCrash, Kind::kOutOfMemory, Kind::kHang}) {
    RestartPolicy policy(supervision());
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(policy.after({TimePoint(seconds(i)), {}, kind}));
    EXPECT_FALSE(policy.after({TimePoint(seconds(5)), {}, kind}));
  }
}

TEST(RestartPolicy, ADeathThatConvictsARequestIsNoneOfTheWorkersFaults) {
  Config::Supervision config = supervision();
  config.crash_loop_limit = 2;
  RestartPolicy policy(config);
  const auto ready = [](int i) { return TimePoint(seconds(i - 2)); };
  EXPECT_TRUE(policy.after({TimePoint(seconds(3)), ready(3), Kind::kCrash, false}));
  for (int i = 6; i < 60; i += 3) {
    EXPECT_TRUE(policy.after({TimePoint(seconds(i)), ready(i), Kind::kCrash, true}));
  }
  EXPECT_FALSE(policy.after({TimePoint(seconds(60)), ready(60), Kind::kCrash, false}));
}

TEST(RestartPolicy, DeathsLongAgoAreForgotten) {
  RestartPolicy policy(supervision());
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(
        policy.after({TimePoint(seconds(20 * i)), TimePoint(seconds(20 * i - 10)), Kind::kCrash}));
  }
}

TEST(RestartPolicy, AKillFromOutsideIsNoFaultOfAHealthyWorkerAndNeedsNoPause) {
  RestartPolicy policy(supervision());
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(policy.after(
                  {TimePoint(seconds(3 * i)), TimePoint(seconds(3 * i - 2)), Kind::kFromOutside}),
              milliseconds(0));
  }
}

TEST(RestartPolicy, AWorkerThatIsKilledAsSoonAsItIsReadyComesBackMoreAndMoreSlowly) {
  RestartPolicy policy(supervision());
  const auto pause = [&](int at) {
    return policy.after({TimePoint(seconds(at)), TimePoint(seconds(at)), Kind::kFromOutside});
  };
  EXPECT_EQ(pause(1), milliseconds(100));
  EXPECT_EQ(pause(2), milliseconds(200));
  EXPECT_EQ(pause(3), milliseconds(400));
}

class Placing : public testing::Test {
 protected:
  std::vector<std::string> place(Machine machine) {
    std::vector<std::string> out;
    for (const Placement& p : place_workers(config_, machine, {})) {
      out.push_back(fmt::format("{} {} {}", p.pool, p.settings.device, p.settings.threads));
    }
    return out;
  }
  Config config_;
};

TEST_F(Placing, WithoutAGpuAutoIsOneWorkerWithAllCores) {
  EXPECT_THAT(place({0, 8}), testing::ElementsAre("default cpu 8"));
}

TEST_F(Placing, WithGpusAutoIsOneWorkerEach) {
  EXPECT_THAT(place({2, 8}), testing::ElementsAre("default cuda:0 4", "default cuda:1 4"));
}

TEST_F(Placing, CpuWorkersShareTheCores) {
  config_.pools[0].devices = {"cpu"};
  config_.pools[0].min_workers = 3;
  EXPECT_THAT(place({0, 8}),
              testing::ElementsAre("default cpu 2", "default cpu 2", "default cpu 2"));
  EXPECT_THAT(place({0, 2}),
              testing::ElementsAre("default cpu 1", "default cpu 1", "default cpu 1"));
}

TEST_F(Placing, ThereIsASeatForEveryWorkerThatThePoolMayHave) {
  config_.pools = {{.name = "grows", .devices = {"cpu"}, .min_workers = 0, .max_workers = 2},
                   {.name = "sleeps", .devices = {"cpu"}, .min_workers = 0}};
  EXPECT_THAT(place({0, 6}), testing::ElementsAre("grows cpu 2", "grows cpu 2", "sleeps cpu 2"));
}

TEST_F(Placing, PoolsAndThreadsAreAsWritten) {
  config_.pools = {{.name = "a", .devices = {"cuda:1"}, .threads = 5},
                   {.name = "b", .devices = {"cpu"}, .memory_budget_mib = 3}};
  EXPECT_THAT(place({2, 8}), testing::ElementsAre("a cuda:1 5", "b cpu 8"));
  EXPECT_EQ(place_workers(config_, {2, 8}, {})[1].settings.memory_budget_bytes, 3u << 20);
  config_.pools[0].cuda_outbox_mib = 7;
  config_.pools[0].cuda_imports = 5;
  EXPECT_EQ(place_workers(config_, {2, 8}, {})[0].settings.cuda_outbox_bytes, 7u << 20);
  EXPECT_EQ(place_workers(config_, {2, 8}, {})[0].settings.cuda_imports, 5u);
}

TEST_F(Placing, AWorkerIsToldMoreJobsThanTheCoreGivesIt) {
  EXPECT_GT(place_workers(config_, {0, 1}, {})[0].settings.max_queued_jobs, kJobsPerWorker);
}

}  // namespace
}  // namespace luna::front
