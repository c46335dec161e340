#include "daemon/ipc/session/job_table.h"

#include <gtest/gtest.h>

namespace luna::ipc {
namespace {

using TimePoint = JobTable::TimePoint;

TimePoint at(int seconds) { return TimePoint(std::chrono::seconds(seconds)); }

JobTable::Entry expiring(TimePoint when) {
  JobTable::Entry entry;
  entry.events = std::make_shared<const JobEvents>();
  entry.expires = when;
  return entry;
}

TEST(JobTable, HoldsAnIdOnce) {
  JobTable table;
  EXPECT_TRUE(table.add({1}, expiring(at(5))));
  EXPECT_FALSE(table.add({1}, expiring(at(3))));
  EXPECT_EQ(table.next_expiry(), at(5)) << "the second one left no trace";
}

TEST(JobTable, AJobCanBeTakenOnce) {
  JobTable table;
  table.add({1}, expiring(at(5)));
  EXPECT_TRUE(table.take({1}).has_value());
  EXPECT_FALSE(table.take({1}).has_value());
  EXPECT_EQ(table.next_expiry(), TimePoint::max());
  EXPECT_EQ(table.find({1}), nullptr);
}

TEST(JobTable, ExpiredJobsComeInTheOrderOfTheirDeadlines) {
  JobTable table;
  table.add({1}, expiring(at(30)));
  table.add({2}, expiring(at(10)));
  table.add({3}, expiring(at(20)));
  table.add({4}, expiring(TimePoint::max()));
  table.add({5}, expiring(at(20)));
  const auto expired = table.take_expired(at(20));
  ASSERT_EQ(expired.size(), 3u);
  EXPECT_EQ(expired[0].first, JobId{2});
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.next_expiry(), at(30));
}

TEST(JobTable, AnExpiryMovesForwardAndNeverBack) {
  JobTable table;
  table.add({1}, expiring(TimePoint::max()));
  table.expire_by({1}, at(10));
  table.expire_by({1}, at(20));
  EXPECT_EQ(table.next_expiry(), at(10));
  table.expire_by({2}, at(1));
  EXPECT_EQ(table.next_expiry(), at(10)) << "unknown ids do not count";
  EXPECT_EQ(table.take_expired(at(10)).size(), 1u);
  EXPECT_TRUE(table.take_expired(at(100)).empty());
}

TEST(JobTable, TakingAllLeavesNothing) {
  JobTable table;
  table.add({1}, expiring(at(1)));
  table.add({2}, expiring(TimePoint::max()));
  EXPECT_EQ(table.take_all().size(), 2u);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.next_expiry(), TimePoint::max());
}

}  // namespace
}  // namespace luna::ipc
