#include "common/base/nearest_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna {
namespace {

TEST(NearestName, DistanceCountsInsertionsDeletionsAndChanges) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("LISTEN", "listen"), 0u);
}

TEST(NearestName, TheNearestComesFirstAndStrangersNotAtAll) {
  EXPECT_THAT(nearest_names("listn", {"zebra", "listing", "listen"}, 2),
              testing::ElementsAre("listen", "listing"));
}

TEST(NearestName, ANameThatContainsTheWantedOneIsNear) {
  EXPECT_EQ(did_you_mean("dream", {"sd15/dreamshaper_8.safetensors"}),
            "; did you mean 'sd15/dreamshaper_8.safetensors'?");
}

TEST(NearestName, SaysNothingWhenNothingIsNear) { EXPECT_EQ(did_you_mean("xyz", {"abc"}), ""); }

}  // namespace
}  // namespace luna
