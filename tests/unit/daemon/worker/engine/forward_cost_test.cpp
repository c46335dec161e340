#include "daemon/worker/engine/forward_cost.h"

#include <functional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna::worker {
namespace {

using testing::ElementsAre;

constexpr ForwardCost::Key kKey{nullptr, 64, 64};

TEST(ForwardCost, BetweenMeasurementsItIsAStraightLineAndBeyondThemInProportion) {
  ForwardCost cost;
  EXPECT_EQ(cost.predict(kKey, 7), 7) << "an arbitrary unit while nothing is known";
  cost.measured(kKey, 2, 4);
  cost.measured(kKey, 6, 8);
  EXPECT_DOUBLE_EQ(cost.predict(kKey, 1), 2);
  EXPECT_DOUBLE_EQ(cost.predict(kKey, 2), 4);
  EXPECT_DOUBLE_EQ(cost.predict(kKey, 4), 6);
  EXPECT_DOUBLE_EQ(cost.predict(kKey, 12), 16);
}

/// The sizes that a queue without end is served in, on a device where a forward takes so long.
std::vector<int> sizes(int forwards, int max, const std::function<double(int)>& seconds) {
  ForwardCost cost;
  std::vector<int> sizes;
  for (int i = 0; i < forwards; ++i) {
    sizes.push_back(cost.quick_rows(kKey, max));
    cost.measured(kKey, sizes.back(), seconds(sizes.back()));
  }
  return sizes;
}

TEST(ForwardCost, WhereMoreRowsTakeLongerQuickForwardsHaveTwo) {
  EXPECT_THAT(sizes(8, 16, [](int rows) { return 0.1 * rows; }),
              ElementsAre(2, 2, 2, 4, 4, 4, 2, 2));
}

TEST(ForwardCost, WhereMoreRowsTakeHardlyLongerQuickForwardsHaveThemToo) {
  EXPECT_THAT(sizes(13, 16, [](int rows) { return 1 + 0.01 * rows; }),
              ElementsAre(2, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 16, 16));
  EXPECT_EQ(sizes(20, 64, [](int rows) { return 1 + 0.04 * rows; }).back(), 8);
}

TEST(ForwardCost, ADisturbedMeasurementDecidesNothing) {
  int call = 0;
  EXPECT_EQ(sizes(20, 8, [&](int rows) { return (call++ % 3 == 0 ? 10 : 1) + 0.01 * rows; }).back(),
            8);
}

TEST(ForwardCost, TheLimitOfRowsIsKept) {
  for (const int max : {1, 2, 3}) {
    for (const int rows : sizes(10, max, [](int) { return 1.0; })) EXPECT_LE(rows, max);
  }
}

}  // namespace
}  // namespace luna::worker
