#include "daemon/front/core/weight_seekers.h"

#include <gtest/gtest.h>

namespace luna::front {
namespace {

using std::chrono::seconds;

/// Plays workers; `read` are those that were told to read, in order.
class WeightSeekersTest : public ::testing::Test {
 protected:
  static ComponentSource source(const std::string& path) { return {{.path = path}, Slot::kUNet}; }
  void seek(std::uint64_t worker, const std::string& path = "a") {
    settle(seekers_.seek(
        source(path), WorkerId{worker},
        [this, worker](const std::optional<HostWeights>& weights) {
          (weights ? got_ : told_to_read_).push_back(worker);
        },
        now_));
  }
  void settle(const WeightSeekers::Answers& answers, bool with_weights = false) {
    for (const auto& answer : answers) {
      answer(with_weights ? std::optional(HostWeights{"hash", {}, {}, nullptr}) : std::nullopt);
    }
  }
  void offer(const std::string& path = "a") { settle(seekers_.offered(source(path)), true); }

  using Workers = std::vector<std::uint64_t>;
  TimePoint now_{};
  WeightSeekers seekers_{seconds(60)};
  Workers told_to_read_, got_;
};

TEST_F(WeightSeekersTest, OneReadsAndTheOthersGetWhatItOffers) {
  seek(1);
  seek(2);
  seek(3);
  EXPECT_EQ(told_to_read_, Workers{1});
  EXPECT_EQ(seekers_.waiting(), 2u);
  offer();
  EXPECT_EQ(got_, (Workers{2, 3}));
  EXPECT_EQ(seekers_.waiting(), 0u);
}

TEST_F(WeightSeekersTest, ComponentsAreReadBesideEachOther) {
  seek(1, "a");
  seek(2, "b");
  EXPECT_EQ(told_to_read_, (Workers{1, 2}));
}

TEST_F(WeightSeekersTest, WhoSeeksAfterTheOfferReadsAnewForTheShelfHasDroppedIt) {
  seek(1);
  offer();
  seek(2);
  EXPECT_EQ(told_to_read_, (Workers{1, 2}));
}

TEST_F(WeightSeekersTest, AfterAFailureTheLongestWaitingReadsAndTheOthersWaitForIt) {
  seek(1);
  seek(2);
  seek(3);
  settle(seekers_.failed(source("a"), WorkerId{1}));
  EXPECT_EQ(told_to_read_, (Workers{1, 2}));
  offer();
  EXPECT_EQ(got_, Workers{3});
}

TEST_F(WeightSeekersTest, AFailureOfOneThatReadsNothingChangesNothing) {
  seek(1);
  seek(2);
  settle(seekers_.failed(source("a"), WorkerId{3}));
  settle(seekers_.failed(source("b"), WorkerId{1}));
  EXPECT_EQ(told_to_read_, Workers{1});
}

TEST_F(WeightSeekersTest, AReaderThatIsGoneIsFollowedInAllThatItRead) {
  seek(1, "a");
  seek(1, "b");
  seek(2, "a");
  seek(3, "b");
  settle(seekers_.gone(WorkerId{1}));
  EXPECT_EQ(told_to_read_, (Workers{1, 1, 2, 3}));
}

TEST_F(WeightSeekersTest, AWaiterThatIsGoneIsNotAnswered) {
  seek(1);
  seek(2);
  settle(seekers_.gone(WorkerId{2}));
  EXPECT_EQ(seekers_.waiting(), 0u);
  offer();
  EXPECT_TRUE(got_.empty());
}

TEST_F(WeightSeekersTest, NobodyWaitsLongerThanThePatience) {
  seek(1);
  seek(2);
  now_ += seconds(30);
  seek(3);
  now_ += seconds(30);
  settle(seekers_.overdue(now_));
  EXPECT_EQ(told_to_read_, (Workers{1, 2})) << "worker 3 came later";
  settle(seekers_.failed(source("a"), WorkerId{1}));
  EXPECT_EQ(told_to_read_, (Workers{1, 2})) << "worker 2 reads now";
  offer();
  EXPECT_EQ(got_, Workers{3});
}

TEST_F(WeightSeekersTest, AReaderThatAsksAgainIsNotLeftWaitingForItself) {
  seek(1);
  seek(1);
  EXPECT_EQ(told_to_read_, (Workers{1, 1}));
}

TEST_F(WeightSeekersTest, WhoeverComesBeyondTheLimitReads) {
  seek(1);
  for (std::size_t i = 0; i < WeightSeekers::kMaxWaiting; ++i) seek(2);
  EXPECT_EQ(told_to_read_, Workers{1});
  seek(3);
  EXPECT_EQ(told_to_read_, (Workers{1, 3}));
}

}  // namespace
}  // namespace luna::front
