#include "daemon/worker/engine/job_turns.h"

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

constexpr auto kTurn = JobTurns::kRowsOfATurn;

TEST(JobTurns, AreCountedByWholeOnes) {
  JobTurns turns;
  const int job = 0;
  turns.enter(&job, "w");
  turns.served(&job, kTurn - 1);
  EXPECT_EQ(turns.had(&job), 0u);
  turns.served(&job, 1);
  EXPECT_EQ(turns.had(&job), 1u);
}

TEST(JobTurns, ANewcomerBeginsWithWhatTheOthersOfItsWorkflowHaveHadAtLeast) {
  JobTurns turns;
  const int old_one = 0, older = 0, stranger = 0, newcomer = 0;
  turns.enter(&old_one, "w");
  turns.enter(&older, "w");
  turns.enter(&stranger, "other");
  turns.served(&old_one, 3 * kTurn);
  turns.served(&older, 5 * kTurn + 7);
  turns.enter(&newcomer, "w");
  EXPECT_EQ(turns.had(&newcomer), 3u);
  EXPECT_EQ(turns.had(&stranger), 0u);
}

TEST(JobTurns, AJobThatHasLeftIsForgotten) {
  JobTurns turns;
  const int job = 0;
  turns.enter(&job, "w");
  turns.served(&job, kTurn);
  turns.enter(&job, "w");
  EXPECT_EQ(turns.had(&job), 1u) << "entering again changes nothing";
  turns.leave(&job);
  EXPECT_EQ(turns.had(&job), 0u);
  turns.served(&job, kTurn);
  EXPECT_EQ(turns.had(&job), 0u);
}

}  // namespace
}  // namespace luna::worker
