#include "daemon/worker/exchange/slab_space.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

TEST(SlabSpace, PiecesBeginAtMultiplesOfTheAlignment) {
  SlabSpace space(4096);
  EXPECT_EQ(space.take(1), 0u);
  EXPECT_EQ(space.take(513), 512u);
  EXPECT_EQ(space.take(1), 1536u);
  EXPECT_EQ(space.free_bytes(), 4096u - 2048u);
}

TEST(SlabSpace, NothingIsGivenTwiceAndNothingBeyondTheEnd) {
  SlabSpace space(1024);
  EXPECT_EQ(space.take(1025), std::nullopt);
  EXPECT_EQ(space.take(~0ull), std::nullopt);
  EXPECT_EQ(space.take(0), std::nullopt);
  EXPECT_EQ(space.take(1024), 0u);
  EXPECT_EQ(space.take(1), std::nullopt);
}

TEST(SlabSpace, NeighboursThatAreGivenBackBecomeOnePiece) {
  SlabSpace space(2048);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(space.take(512));
  space.give_back(512, 512);
  space.give_back(1536, 512);
  EXPECT_EQ(space.largest_free(), 512u);
  space.give_back(1024, 512);
  EXPECT_EQ(space.largest_free(), 1536u);
  space.give_back(0, 512);
  EXPECT_EQ(space.take(2048), 0u);
}

TEST(SlabSpace, ASlabOfNothingGivesNothing) {
  EXPECT_EQ(SlabSpace(0).take(1), std::nullopt);
  EXPECT_EQ(SlabSpace(511).take(1), std::nullopt);
}

TEST(SlabSpace, TenThousandRandomTurnsLeaveItWhole) {
  constexpr std::uint64_t kBytes = 1 << 20;
  SlabSpace space(kBytes);
  std::mt19937 random(7);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> taken;
  for (int turn = 0; turn < 10000; ++turn) {
    if (random() % 2 == 0 || taken.empty()) {
      const std::uint64_t bytes = random() % 40000 + 1;
      const auto offset = space.take(bytes);
      if (!offset) continue;
      ASSERT_LE(*offset + bytes, kBytes);
      for (const auto& [other, size] : taken)
        ASSERT_TRUE(*offset >= other + size || *offset + bytes <= other);
      taken.emplace_back(*offset, bytes);
    } else {
      const std::size_t which = random() % taken.size();
      space.give_back(taken[which].first, taken[which].second);
      taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  for (const auto& [offset, bytes] : taken) space.give_back(offset, bytes);
  EXPECT_EQ(space.free_bytes(), kBytes);
  EXPECT_EQ(space.largest_free(), kBytes);
}

}  // namespace
}  // namespace luna::worker
