#include "daemon/worker/sampling/brownian_tree.h"

#include <cmath>

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

const std::vector<std::int64_t> kShape = {1, 2, 3};

TEST(BrownianTree, DoesNotDependOnTheOrderOfQueries) {
  BrownianTree forwards(5, 0.1, 14, kShape);
  BrownianTree backwards(5, 0.1, 14, kShape);
  const at::Tensor a = forwards.increment(2, 9);
  const at::Tensor b = forwards.increment(0.3, 0.7);
  EXPECT_TRUE(at::equal(backwards.increment(0.3, 0.7), b));
  EXPECT_TRUE(at::equal(backwards.increment(2, 9), a));
}

TEST(BrownianTree, AdjacentIncrementsAddUp) {
  BrownianTree tree(5, 0.1, 14, kShape);
  const at::Tensor whole = tree.increment(1, 8);
  EXPECT_TRUE(at::allclose(tree.increment(1, 3.3) + tree.increment(3.3, 8), whole, 1e-5, 1e-6));
}

TEST(BrownianTree, ClampsTimesToItsInterval) {
  BrownianTree tree(5, 1, 2, kShape);
  EXPECT_TRUE(at::equal(tree.increment(-3, 70), tree.increment(1, 2)));
  EXPECT_TRUE(at::equal(tree.increment(5, 6), at::zeros(kShape)));
}

TEST(BrownianTree, TimesThatRoundToOneAreNoIncrement) {
  BrownianTree tree(5, 1, 2, kShape);
  EXPECT_TRUE(at::equal(tree.increment(1.5, 1.5000001), at::zeros(kShape)));
}

TEST(BrownianTree, IncrementsHaveTheVarianceOfTheirLength) {
  BrownianTree tree(5, 0, 16, {100, 100});
  for (const auto& [from, to] : {std::pair{0.0, 16.0}, std::pair{3.0, 7.5}, std::pair{9.0, 9.01}}) {
    const double variance = tree.increment(from, to).var().item<double>();
    EXPECT_NEAR(variance / (to - from), 1, 0.06);
  }
}

TEST(BrownianTree, ASmallCacheGivesTheSameValues) {
  BrownianTree bounded(5, 0.03, 14.6, kShape, at::kCPU, /*cache_bytes=*/1);
  BrownianTree roomy(5, 0.03, 14.6, kShape);
  for (double t = 14; t > 0.5; t /= 1.3) {
    EXPECT_TRUE(at::equal(bounded.increment(t / 1.3, t), roomy.increment(t / 1.3, t)));
    EXPECT_LE(bounded.cached_nodes(), 4U);
  }
}

TEST(BrownianTree, KeepsABoundedNumberOfNodes) {
  BrownianTree tree(5, 0.03, 14.6, kShape);
  for (double t = 14; t > 0.5; t /= 1.02) tree.increment(t / 1.02, t);
  EXPECT_LE(tree.cached_nodes(), 128U);
}

TEST(BrownianTree, RefusesIntervalsThatNoGridCovers) {
  BrownianTree tree(5, 0, 1e18, kShape);
  EXPECT_THROW(tree.increment(0.25, 0.5), c10::Error);
}

}  // namespace
}  // namespace luna::worker
