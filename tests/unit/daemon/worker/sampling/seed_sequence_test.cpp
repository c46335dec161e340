#include "daemon/worker/sampling/seed_sequence.h"

#include <array>

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

using Words = std::vector<std::uint32_t>;

TEST(SeedSequence, RootStateIsNumpys) {
  EXPECT_EQ(seed_sequence(123, {}, 3), (Words{1995260886, 809642704, 1147821511}));
}

TEST(SeedSequence, SpawnKeysPadTheEntropyToThePool) {
  const std::array<std::uint64_t, 2> key = {5, 3};
  EXPECT_EQ(seed_sequence((1ULL << 40) + 5, key, 4),
            (Words{3504654109, 1686076128, 242735800, 3342715673}));
}

TEST(SeedSequence, KeysBeyondThirtyTwoBitsTakeTwoWords) {
  const std::array<std::uint64_t, 2> key = {(1ULL << 33) + 1, 34};
  EXPECT_EQ(seed_sequence((1ULL << 40) + 5, key, 4),
            (Words{3601489459, 4084719645, 1629997046, 3434040370}));
}

TEST(SeedSequence, ZerosCountAsOneWordEach) {
  const std::array<std::uint64_t, 2> key = {0, 0};
  EXPECT_EQ(seed_sequence(0, key, 4), (Words{245430115, 3436620678, 4120055464, 1627243804}));
}

}  // namespace
}  // namespace luna::worker
