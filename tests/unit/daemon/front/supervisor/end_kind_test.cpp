#include "daemon/front/supervisor/end_kind.h"

#include <csignal>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/types/worker_exit.h"
#include "daemon/front/supervisor/oom_watch.h"
#include "tests/support/temp_dir.h"

namespace luna::front {
namespace {

using Kind = WorkerEnd::Kind;

ProcessEnd by_signal(int signal) { return {.exit_code = -1, .signal = signal}; }
ProcessEnd by_exit(int code) { return {.exit_code = code, .signal = 0}; }
EndCircumstances circumstances(bool asked, bool out_of_memory = false) {
  return {.put_down = std::nullopt, .asked = asked, .out_of_memory = out_of_memory};
}
EndCircumstances put_down(Kind kind, const std::string& why) {
  return {.put_down = WorkerEnd{kind, why}, .asked = false, .out_of_memory = true};
}

TEST(EndKind, SignalsForWhatAProcessDidItselfAreCrashes) {
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
    EXPECT_EQ(end_kind(by_signal(signal), circumstances(false)).kind, Kind::kCrash) << signal;
  }
}

TEST(EndKind, ACrashIsOneAlsoWhenItsCoreDumpLookedLikeAHangOrItWasAskedToEnd) {
  EXPECT_EQ(end_kind(by_signal(SIGSEGV), put_down(Kind::kHang, "no heartbeat")).kind, Kind::kCrash);
  EXPECT_EQ(end_kind(by_signal(SIGSEGV), circumstances(true)).kind, Kind::kCrash);
}

TEST(EndKind, ASigkillIsOursOrTheKernelsOrSomebodys) {
  EXPECT_EQ(end_kind(by_signal(SIGKILL), put_down(Kind::kHang, "no heartbeat")).in_words(),
            "hang: no heartbeat (killed by signal 9 (Killed))");
  EXPECT_EQ(end_kind(by_signal(SIGKILL), circumstances(false, true)).in_words(),
            "out of memory: killed by signal 9 (Killed) by the kernel");
  EXPECT_EQ(end_kind(by_signal(SIGKILL), circumstances(false)).in_words(),
            "killed from outside: killed by signal 9 (Killed)");
}

TEST(EndKind, OtherSignalsComeFromOutside) {
  EXPECT_EQ(end_kind(by_signal(SIGHUP), circumstances(false)).kind, Kind::kFromOutside);
}

TEST(EndKind, AnExitIsACrashUnlessItWasAskedFor) {
  EXPECT_EQ(end_kind(by_exit(0), circumstances(true)).kind, Kind::kAsked);
  EXPECT_EQ(end_kind(by_exit(0), circumstances(false)).kind, Kind::kCrash);
  EXPECT_EQ(end_kind(by_exit(1), circumstances(true)).kind, Kind::kCrash);
  EXPECT_THAT(end_kind(by_exit(kDeviceErrorExit), circumstances(false)).in_words(),
              testing::StartsWith("crash: device error"));
}

class OomWatching : public testing::Test {
 protected:
  void count(int kills) {
    folder_.write("counter", fmt::format("oom 3\noom_kill {}\nlast 1\n", kills));
  }
  OomWatch watch() { return OomWatch(folder_.file("counter"), now_); }

  support::TempDir folder_;
  OomWatch::TimePoint now_{std::chrono::hours(1)};
};

TEST_F(OomWatching, AKillWhileTheProcessLivedIsSeenAndOneBeforeIsNot) {
  count(4);
  OomWatch watched = watch();
  EXPECT_FALSE(watched.killed_lately(now_));
  count(5);
  EXPECT_TRUE(watched.killed_lately(now_));
  EXPECT_FALSE(watch().killed_lately(now_));
}

TEST_F(OomWatching, AKillLongAgoIsAnotherProcesss) {
  count(0);
  OomWatch watched = watch();
  count(1);
  for (int i = 0; i < 50; ++i) watched.sample(now_ += std::chrono::milliseconds(500));
  EXPECT_FALSE(watched.killed_lately(now_));
  count(2);
  watched.sample(now_ += std::chrono::milliseconds(500));
  now_ += std::chrono::seconds(3);
  EXPECT_TRUE(watched.killed_lately(now_)) << "a process with much memory takes its time to end";
}

TEST_F(OomWatching, WithoutACounterNothingIsSeen) {
  OomWatch watched("/no/such/file", now_);
  EXPECT_FALSE(watched.killed_lately(now_));
}

TEST_F(OomWatching, TheCounterIsThatOfTheControlGroupElseTheMachines) {
  const std::string proc = folder_.file("proc");
  const std::string cgroups = folder_.file("cgroup");
  folder_.write("proc/7/cgroup", "4:memory:/old\n0::/luna.service\n");
  EXPECT_EQ(OomWatch::counter_of(7, proc, cgroups), proc + "/vmstat");
  folder_.write("cgroup/luna.service/memory.events", "oom_kill 0\n");
  EXPECT_EQ(OomWatch::counter_of(7, proc, cgroups), cgroups + "/luna.service/memory.events");
  EXPECT_EQ(OomWatch::counter_of(8, proc, cgroups), proc + "/vmstat");
}

TEST_F(OomWatching, ThisMachinesCounterCanBeRead) {
  std::ifstream file(OomWatch::counter_of(::getpid()));
  std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_THAT(all, testing::HasSubstr("oom_kill "));
}

}  // namespace
}  // namespace luna::front
