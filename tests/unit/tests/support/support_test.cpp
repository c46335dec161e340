#include <filesystem>
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/tensor_error.h"
#include "tests/support/wait_until.h"

namespace luna::support {
namespace {

TEST(TempDir, IsRemovedWithItsContent) {
  std::string path;
  {
    const TempDir dir;
    path = dir.path();
    dir.write("a/b.txt", "text");
    EXPECT_EQ(read_file(dir.file("a/b.txt")), "text");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(RelativeError, IsTheNormOfTheDifferenceOverTheNormOfTheReference) {
  const std::vector<float> a = {3, 4.5f}, b = {3, 4};
  EXPECT_DOUBLE_EQ(relative_error(a, b), 0.1);
  EXPECT_DOUBLE_EQ(largest_difference(a, b), 0.5);
  EXPECT_THAT(a, IsNear(b, 0.11));
  EXPECT_THAT(a, testing::Not(IsNear(b, 0.09)));
}

TEST(RelativeError, NeverPassesForNanOrAnotherLength) {
  const std::vector<float> nan = {std::numeric_limits<float>::quiet_NaN()}, one = {1}, two = {1, 1};
  EXPECT_THAT(nan, testing::Not(IsNear(one, 1e9)));
  EXPECT_THAT(two, testing::Not(IsNear(one, 1e9)));
}

TEST(WaitUntil, AnswersWhetherTheConditionCameToHold) {
  int asked = 0;
  EXPECT_TRUE(wait_until([&] { return ++asked == 3; }));
  EXPECT_FALSE(wait_until([] { return false; }, std::chrono::milliseconds(5)));
}

}  // namespace
}  // namespace luna::support
