#include "daemon/worker/engine/row_batcher.h"

#include <limits>
#include <new>

#include <gmock/gmock.h>

#include "tests/unit/daemon/worker/engine/fake_unet.h"

namespace luna::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class RowBatcherTest : public testing::Test {
 protected:
  RowBatcher make(int max_rows = 16, std::uint64_t budget = UINT64_MAX) {
    RowBatcher::Options options;
    options.max_rows = max_rows;
    options.activation_budget = [budget] { return budget; };
    options.interactive_about = [this] { return interactive_about_; };
    options.on_forward = [this](int rows, double, const std::map<std::string, int>& by_workflow) {
      reported_rows_.push_back(rows);
      last_by_workflow_ = by_workflow;
    };
    return RowBatcher(std::move(options), pacer_);
  }
  static void run_all(RowBatcher& batcher) {
    while (!batcher.empty()) batcher.run_next();
  }
  static float value_of(const RowResult& result) {
    return result.output.flatten()[0].item<float>();
  }

  DevicePacer pacer_{at::kCPU};
  FakeUnet unet_;
  bool interactive_about_ = false;
  std::vector<int> reported_rows_;
  std::map<std::string, int> last_by_workflow_;
};

TEST_F(RowBatcherTest, RowsOfDifferentJobsShareOneForwardAndGetTheirOwnResult) {
  RowBatcher batcher = make();
  FakeSink a("a", Priority::kNormal, 0), b("b", Priority::kNormal, 1);
  batcher.add(&a, 0, fake_row(unet_, 1));
  batcher.add(&b, 7, fake_row(unet_, 2));
  batcher.add(&a, 1, fake_row(unet_, 3));
  batcher.run_next();
  EXPECT_TRUE(batcher.empty());
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(3));
  EXPECT_FLOAT_EQ(value_of(a.done[0]), 3);
  EXPECT_FLOAT_EQ(value_of(a.done[1]), 9);
  EXPECT_FLOAT_EQ(value_of(b.done[7]), 6);
  EXPECT_EQ(b.done[7].rows_in_batch, 3);
  EXPECT_THAT(reported_rows_, ElementsAre(3));
  EXPECT_EQ(last_by_workflow_, (std::map<std::string, int>{{"a", 2}, {"b", 1}}));
}

TEST_F(RowBatcherTest, OtherShapesModelsAndExtrasGoInForwardsOfTheirOwn) {
  RowBatcher batcher = make();
  FakeUnet other;
  FakeSink sink;
  batcher.add(&sink, 0, fake_row(unet_, 1));
  batcher.add(&sink, 1, fake_row(unet_, 1, 77, 8));
  batcher.add(&sink, 2, fake_row(other, 1));
  ModelRow with_extra = fake_row(unet_, 1);
  with_extra.extras["y"] = at::zeros({1, 16});
  batcher.add(&sink, 3, with_extra);
  run_all(batcher);
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(1, 1, 1));
  EXPECT_THAT(other.rows_of_forwards, ElementsAre(1));
  EXPECT_THAT(sink.done, SizeIs(4));
}

TEST_F(RowBatcherTest, ContextsAreRepeatedToTheirCommonMultipleUpToFourTimesTheShortest) {
  RowBatcher batcher = make();
  FakeSink sink;
  batcher.add(&sink, 0, fake_row(unet_, 1, 77));
  batcher.add(&sink, 1, fake_row(unet_, 2, 154));
  batcher.add(&sink, 2, fake_row(unet_, 3, 231));  // 462 tokens would be six times the shortest
  run_all(batcher);
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(2, 1));
  EXPECT_THAT(unet_.tokens_of_forwards, ElementsAre(154, 231));
  EXPECT_FLOAT_EQ(value_of(sink.done[0]), 3);
}

TEST_F(RowBatcherTest, AFamilyWithJointAttentionNeedsContextsOfEqualLength) {
  unet_.traits_.context_repeats = false;
  RowBatcher batcher = make();
  FakeSink sink;
  batcher.add(&sink, 0, fake_row(unet_, 1, 77));
  batcher.add(&sink, 1, fake_row(unet_, 2, 154));
  batcher.add(&sink, 2, fake_row(unet_, 3, 77));
  run_all(batcher);
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(2, 1));
}

TEST_F(RowBatcherTest, NoForwardExceedsTheRowLimitOrTheActivationBudget) {
  RowBatcher by_rows = make(3);
  FakeSink sink;
  for (std::size_t i = 0; i < 7; ++i) by_rows.add(&sink, i, fake_row(unet_, 1));
  run_all(by_rows);
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(3, 3, 1));

  unet_.rows_of_forwards.clear();
  RowBatcher by_memory = make(16, 2500);
  for (std::size_t i = 0; i < 5; ++i) by_memory.add(&sink, i, fake_row(unet_, 1));
  run_all(by_memory);
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(2, 2, 1));
}

TEST_F(RowBatcherTest, ARowGoesAloneWhenNotEvenOneFitsTheBudget) {
  RowBatcher batcher = make(16, 10);
  FakeSink sink;
  batcher.add(&sink, 0, fake_row(unet_, 1));
  batcher.run_next();
  EXPECT_THAT(sink.done, SizeIs(1));
}

TEST_F(RowBatcherTest, TheMostUrgentGroupGoesFirst) {
  RowBatcher batcher = make();
  FakeUnet other;
  FakeSink bulk("a", Priority::kBulk, 0), interactive("b", Priority::kInteractive, 1);
  batcher.add(&bulk, 0, fake_row(unet_, 1));
  batcher.add(&interactive, 0, fake_row(other, 1));
  EXPECT_EQ(batcher.most_urgent()->priority, Priority::kInteractive);
  batcher.run_next();
  EXPECT_THAT(interactive.done, SizeIs(1));
  EXPECT_THAT(bulk.done, IsEmpty());
}

TEST_F(RowBatcherTest, OfOnePriorityTheWorkflowThatHadLessOfTheDeviceGoesFirst) {
  RowBatcher batcher = make(1);
  FakeSink older("served", Priority::kNormal, 0), newer("starved", Priority::kNormal, 1);
  older.urgency_.served_seconds = 5;
  batcher.add(&older, 0, fake_row(unet_, 1));
  batcher.add(&newer, 0, fake_row(unet_, 2));
  batcher.run_next();
  EXPECT_THAT(newer.done, SizeIs(1));
  EXPECT_THAT(older.done, IsEmpty());
}

TEST_F(RowBatcherTest, ACallOfManyRowsLetsANewerOneOfItsWorkflowHaveItsTurns) {
  RowBatcher batcher = make(16);
  FakeSink many("w", Priority::kNormal, 0), newer("w", Priority::kNormal, 1);
  for (std::size_t i = 0; i < 1000; ++i) batcher.add(&many, i, fake_row(unet_, 1));
  batcher.run_next();
  batcher.add(&newer, 0, fake_row(unet_, 1));
  for (int i = 0; i < 4; ++i) batcher.run_next();
  EXPECT_THAT(newer.done, SizeIs(1)) << "after a turn of 64 rows";
  EXPECT_THAT(many.done, SizeIs(79));
}

TEST_F(RowBatcherTest, RowsOfLowerPriorityJoinOnlyAsFarAsTheyHardlySlowTheUrgentOnes) {
  RowBatcher batcher = make();
  FakeSink urgent("a", Priority::kInteractive, 0), bulk("b", Priority::kBulk, 1);
  for (std::size_t i = 0; i < 4; ++i)
    urgent.done.clear(), batcher.add(&urgent, i, fake_row(unet_, 1));
  for (std::size_t i = 0; i < 4; ++i) batcher.add(&bulk, i, fake_row(unet_, 1));
  batcher.run_next();
  // Nothing is measured yet, so cost counts as proportional to rows: one row is a quarter more.
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(5));
  EXPECT_THAT(urgent.done, SizeIs(4));
}

TEST_F(RowBatcherTest, WhileSomebodyInteractiveIsAboutTheOthersForwardsAreShort) {
  RowBatcher batcher = make();
  FakeSink bulk("bulk", Priority::kBulk, 0), interactive("one", Priority::kInteractive, 1);
  for (std::size_t i = 0; i < 32; ++i) batcher.add(&bulk, i, fake_row(unet_, 1));
  interactive_about_ = true;
  for (int i = 0; i < 4; ++i) batcher.run_next();
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(2, 2, 2, 4))
      << "longer ones are tried one by one";
  for (std::size_t i = 0; i < 5; ++i) batcher.add(&interactive, i, fake_row(unet_, 1));
  batcher.run_next();
  EXPECT_THAT(interactive.done, SizeIs(5)) << "its own are not held back";
  interactive_about_ = false;
  batcher.run_next();
  EXPECT_EQ(unet_.rows_of_forwards.back(), 16);
}

TEST_F(RowBatcherTest, AForwardThatDoesNotFitIsSplitUntilItDoesAndTheNextOnesStaySmaller) {
  unet_.before_forward = [](const at::Tensor& x) {
    if (x.size(0) > 2) throw std::bad_alloc();
  };
  RowBatcher batcher = make();
  FakeSink sink;
  for (std::size_t i = 0; i < 8; ++i) batcher.add(&sink, i, fake_row(unet_, static_cast<float>(i)));
  run_all(batcher);
  EXPECT_THAT(sink.failed, IsEmpty());
  ASSERT_THAT(sink.done, SizeIs(8));
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_FLOAT_EQ(value_of(sink.done[i]), 3.0f * static_cast<float>(i));
  EXPECT_THAT(unet_.rows_of_forwards, ElementsAre(8, 4, 2, 2, 4, 2, 2));

  unet_.rows_of_forwards.clear();
  for (std::size_t i = 0; i < 8; ++i) batcher.add(&sink, i, fake_row(unet_, 1));
  batcher.run_next();
  EXPECT_LE(unet_.rows_of_forwards.front(), 4);
}

TEST_F(RowBatcherTest, OnlyTheRowThatFailsAloneIsFailed) {
  unet_.before_forward = [](const at::Tensor& x) {
    TORCH_CHECK(!x.eq(13).any().item<bool>(), "thirteen");
  };
  RowBatcher batcher = make();
  FakeSink good, bad;
  for (std::size_t i = 0; i < 5; ++i) batcher.add(&good, i, fake_row(unet_, 1));
  batcher.add(&bad, 2, fake_row(unet_, 13));
  run_all(batcher);
  EXPECT_THAT(good.done, SizeIs(5));
  ASSERT_THAT(bad.failed, SizeIs(1));
  EXPECT_THAT(bad.failed.at(2).message(), HasSubstr("thirteen"));
}

TEST_F(RowBatcherTest, ANonFiniteResultIsFlaggedForItsRowAlone) {
  RowBatcher batcher = make();
  FakeSink sink;
  batcher.add(&sink, 0, fake_row(unet_, 1));
  batcher.add(&sink, 1, fake_row(unet_, std::numeric_limits<float>::quiet_NaN()));
  batcher.run_next();
  EXPECT_TRUE(sink.done[0].finite.item<bool>());
  EXPECT_FALSE(sink.done[1].finite.item<bool>());
}

TEST_F(RowBatcherTest, DroppedRowsAreForgottenAlsoWhileResultsAreHandedOut) {
  RowBatcher batcher = make();
  FakeSink dropped, dropper, witness;
  batcher.add(&dropped, 0, fake_row(unet_, 1));
  batcher.drop(&dropped);
  EXPECT_TRUE(batcher.empty());

  dropper.on_result = [&] { batcher.drop(&witness); };
  batcher.add(&dropper, 0, fake_row(unet_, 1));
  batcher.add(&witness, 0, fake_row(unet_, 1));
  batcher.run_next();
  EXPECT_THAT(dropper.done, SizeIs(1));
  EXPECT_THAT(witness.done, IsEmpty());
  EXPECT_THAT(dropped.done, IsEmpty());
}

}  // namespace
}  // namespace luna::worker
