#include "common/base/deadline.h"

#include <gtest/gtest.h>

namespace luna {
namespace {

using std::chrono::nanoseconds;

TEST(Deadline, NeverExpiresByDefault) {
  EXPECT_TRUE(Deadline().infinite());
  EXPECT_FALSE(Deadline().expired());
  EXPECT_EQ(Deadline().left(), nanoseconds::max());
}

TEST(Deadline, HasNothingLeftOnceItHasPassed) {
  const Deadline past(Deadline::Clock::now() - std::chrono::seconds(1));
  EXPECT_TRUE(past.expired());
  EXPECT_EQ(past.left(), nanoseconds::zero());
}

TEST(Deadline, TooFarAwayForTheClockMeansNever) {
  EXPECT_TRUE(Deadline::after(nanoseconds::max()).infinite());
}

TEST(Deadline, LeavesAtMostTheTimeItWasMadeWith) {
  const Deadline hour = Deadline::after(std::chrono::hours(1));
  EXPECT_FALSE(hour.expired());
  EXPECT_LE(hour.left(), std::chrono::hours(1));
}

}  // namespace
}  // namespace luna
