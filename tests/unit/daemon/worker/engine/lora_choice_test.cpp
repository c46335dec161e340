#include "daemon/worker/engine/lora_choice.h"

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

TEST(LoraChoice, WhatIsAskedForIsDoneWhateverElse) {
  for (const LoraApplication asked : {LoraApplication::kMerged, LoraApplication::kRowWise}) {
    EXPECT_EQ(choose_application(asked, 1, true), asked);
    EXPECT_EQ(choose_application(asked, 1000, false), asked);
  }
}

TEST(LoraChoice, ASetInCompanyOrOfShortUseIsAddedRowByRowAndOneOfLongUseAloneIsMerged) {
  EXPECT_EQ(choose_application(LoraApplication::kAuto, 1000, true), LoraApplication::kRowWise);
  EXPECT_EQ(choose_application(LoraApplication::kAuto, kMergePays - 1, false),
            LoraApplication::kRowWise);
  EXPECT_EQ(choose_application(LoraApplication::kAuto, kMergePays, false),
            LoraApplication::kMerged);
}

TEST(LoraChoice, ARowTakesItsStepsAndTwiceThemWithGuidance) {
  SamplerRun run;
  run.steps = 20;
  EXPECT_EQ(evaluations_of_row(run, {.cfg = 7, .options = {}}), 40u);
  EXPECT_EQ(evaluations_of_row(run, {.cfg = 1, .options = {}}), 20u);
  run.sigmas = {10, 5, 1, 0};
  EXPECT_EQ(evaluations_of_row(run, {.cfg = 1, .options = {}}), 3u);
}

TEST(LoraChoice, EqualSetsAreOneAndStrengthZeroIsNone) {
  const std::vector<LoraRef> a = {{"a", 0.5, 1, {}}}, same = {{"a", 0.5, 0, {}}, {"b", 0, 1, {}}};
  const std::vector<LoraRef> stronger = {{"a", 0.6, 1, {}}}, none;
  const std::vector<LoraRef> blocks = {{"a", 0.5, 1, {{"middle_block", 0}}}};
  const RowSets sets = RowSets::of({&a, &none, &same, &stronger, &blocks});
  EXPECT_EQ(sets.sets.size(), 4u);
  EXPECT_EQ(sets.of_row, (std::vector<std::size_t>{0, 1, 0, 2, 3}));
  EXPECT_EQ(RowSets::of({}).sets.size(), 1u) << "a call without rows asks for the model alone";
}

}  // namespace
}  // namespace luna::worker
