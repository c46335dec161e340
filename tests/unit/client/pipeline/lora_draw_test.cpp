#include "client/include/luna/client/lora_draw.h"

#include <set>

#include <gmock/gmock.h>

namespace luna::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::vector<LoraDraw> kDraws = {{"a", {0.2, 0.9, {}}, {}, {{"middle_block", 0.5}}},
                                      {"b", {-1, 1, {}}, LoraStrength{0.25, 0.25, {}}, {}}};

TEST(LoraDraws, LieInTheirRangesAndFollowFromTheSeed) {
  const auto sets = draw_loras(kDraws, 7, 200);
  ASSERT_TRUE(sets.ok());
  std::set<double> different;
  for (const std::vector<LoraRef>& set : *sets) {
    ASSERT_EQ(set.size(), 2u);
    EXPECT_GE(set[0].model_strength, 0.2);
    EXPECT_LT(set[0].model_strength, 0.9);
    EXPECT_EQ(set[0].clip_strength, set[0].model_strength) << "it follows the model's";
    EXPECT_EQ(set[0].block_strengths.at("middle_block"), 0.5);
    EXPECT_EQ(set[1].clip_strength, 0.25);
    different.insert(set[0].model_strength);
  }
  EXPECT_EQ(different.size(), 200u);
  EXPECT_EQ(*draw_loras(kDraws, 7, 200), *sets);
  EXPECT_NE(*draw_loras(kDraws, 8, 200), *sets);
}

TEST(LoraDraws, APicturesStrengthsDoNotDependOnHowManyThereAre) {
  EXPECT_EQ(draw_loras(kDraws, 7, 3)->at(2), draw_loras(kDraws, 7, 50)->at(2));
}

TEST(LoraDraws, AreSpreadEvenly) {
  const auto sets = draw_loras(kDraws, 1, 4000);
  double sum = 0;
  for (const std::vector<LoraRef>& set : *sets) sum += set[1].model_strength;
  EXPECT_NEAR(sum / 4000, 0, 0.05);
}

TEST(LoraDraws, GivenStrengthsAreTakenInOrderAndMustBeOneAPicture) {
  const LoraDraw given{"a", {1, 1, {0.1, 0.5, 0.9}}, {}, {}};
  EXPECT_EQ(draw_loras({given}, 0, 3)->at(1).front(), LoraRef("a", 0.5, 0.5));
  EXPECT_THAT(draw_loras({given}, 0, 4).status().message(),
              AllOf(HasSubstr("'a'"), HasSubstr("4 pictures"), HasSubstr("found 3")));
}

}  // namespace
}  // namespace luna::client
