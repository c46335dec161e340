#include "daemon/front/core/poison_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/front/core/worker_end.h"

namespace luna::front {
namespace {

using std::chrono::minutes;

constexpr TimePoint kNow{std::chrono::hours(1)};

TEST(PoisonTable, WhatItDoesNotKnowIsNeitherSuspectedNorRefused) {
  const PoisonTable table(minutes(60));
  EXPECT_TRUE(table.empty());
  EXPECT_FALSE(table.suspected("a", kNow));
  EXPECT_TRUE(table.refusal("a", kNow).ok());
}

TEST(PoisonTable, TheFirstDeathMakesASuspectTheSecondAConvict) {
  PoisonTable table(minutes(60));
  EXPECT_FALSE(table.blame("a", "killed by signal 11", true, kNow));
  EXPECT_TRUE(table.suspected("a", kNow));
  EXPECT_TRUE(table.refusal("a", kNow).ok());
  EXPECT_TRUE(table.blame("a", "killed by signal 6", true, kNow));
  const Status refusal = table.refusal("a", kNow);
  EXPECT_EQ(refusal.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(refusal.message(),
            "this request ended two workers (killed by signal 11; killed by signal 6); it is "
            "refused for 60 minutes");
  EXPECT_TRUE(table.refusal("b", kNow).ok());
}

TEST(PoisonTable, EqualDeathsAreSaidOnceAndTheTimeIsWhatIsLeft) {
  PoisonTable table(minutes(60));
  for (int i = 0; i < 2; ++i) table.blame("a", "killed by signal 11", true, kNow);
  EXPECT_EQ(table.refusal("a", kNow + minutes(59)).message(),
            "this request ended two workers (killed by signal 11); it is refused for 1 minute");
}

TEST(PoisonTable, DeathsAmongOthersConvictNobodyHoweverMany) {
  PoisonTable table(minutes(60));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(table.blame("a", "x", false, kNow));
  EXPECT_TRUE(table.refusal("a", kNow).ok());
  EXPECT_TRUE(table.blame("a", "x", true, kNow)) << "alone it is guilty at once";
}

TEST(PoisonTable, AHangMakesASuspectAndNeverAConvict) {
  PoisonTable table(minutes(60));
  for (int i = 0; i < 5; ++i) table.suspect("a", kNow);
  EXPECT_TRUE(table.suspected("a", kNow));
  EXPECT_TRUE(table.refusal("a", kNow).ok());
}

TEST(PoisonTable, ARunToTheEndClearsASuspectButNoConvict) {
  PoisonTable table(minutes(60));
  table.blame("a", "x", true, kNow);
  table.clear("a");
  EXPECT_TRUE(table.empty());
  for (int i = 0; i < 2; ++i) table.blame("a", "x", true, kNow);
  table.clear("a");
  EXPECT_FALSE(table.refusal("a", kNow).ok());
}

TEST(PoisonTable, EverythingExpires) {
  PoisonTable table(minutes(60));
  table.blame("suspect", "x", true, kNow);
  for (int i = 0; i < 2; ++i) table.blame("convict", "x", true, kNow);
  const TimePoint later = kNow + minutes(60);
  EXPECT_FALSE(table.suspected("suspect", later));
  EXPECT_TRUE(table.refusal("convict", later).ok());
  EXPECT_FALSE(table.blame("convict", "x", true, later)) << "old deaths count no more";
  table.expire(later);
  EXPECT_EQ(table.size(), 1u);
}

TEST(PoisonTable, ItNeverHoldsMoreThanItsCapacityAndGivesUpSuspectsFirst) {
  PoisonTable table(minutes(60), 3);
  for (int i = 0; i < 2; ++i) table.blame("convict", "x", true, kNow);
  for (int i = 1; i <= 50; ++i) {
    table.blame(std::to_string(i), "x", true, kNow + std::chrono::seconds(i));
    EXPECT_LE(table.size(), 3u);
  }
  const TimePoint now = kNow + minutes(1);
  EXPECT_FALSE(table.refusal("convict", now).ok());
  EXPECT_TRUE(table.suspected("50", now));
  EXPECT_TRUE(table.suspected("49", now));
  EXPECT_FALSE(table.suspected("48", now));
}

TEST(WorkerEnd, IsToldInWordsByItsKind) {
  EXPECT_EQ((WorkerEnd{WorkerEnd::Kind::kOutOfMemory, "killed by signal 9"}.in_words()),
            "out of memory: killed by signal 9");
  EXPECT_EQ((WorkerEnd{WorkerEnd::Kind::kHang, "no heartbeat"}.in_words()), "hang: no heartbeat");
}

}  // namespace
}  // namespace luna::front
