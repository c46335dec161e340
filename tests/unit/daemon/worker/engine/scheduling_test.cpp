#include <gmock/gmock.h>

#include "daemon/worker/engine/counters.h"
#include "daemon/worker/engine/fair_share.h"
#include "daemon/worker/engine/finite_watch.h"
#include "daemon/worker/engine/forward_cost.h"
#include "daemon/worker/engine/latent_preview.h"
#include "daemon/worker/engine/memory.h"

namespace luna::worker {
namespace {

TEST(FairShare, ANewcomerBeginsWithTheLeastServedOfTheOthers) {
  FairShare share;
  share.enter("a");
  share.enter("b");
  share.charge("a", 3);
  share.charge("b", 5);
  share.enter("c");
  EXPECT_DOUBLE_EQ(share.served("c"), 3);
}

TEST(FairShare, AWorkflowWithoutJobsIsForgotten) {
  FairShare share;
  share.enter("a");
  share.enter("a");
  share.charge("a", 3);
  share.leave("a");
  EXPECT_DOUBLE_EQ(share.served("a"), 3);
  share.leave("a");
  EXPECT_DOUBLE_EQ(share.served("a"), 0);
  share.charge("a", 1);
  EXPECT_DOUBLE_EQ(share.served("a"), 0);
}

TEST(ForwardCost, PredictsByWhatWasMeasured) {
  ForwardCost cost;
  const ForwardCost::Key key{nullptr, 8, 8};
  EXPECT_DOUBLE_EQ(cost.predict(key, 3), 3);
  cost.measured(key, 2, 1.0);
  cost.measured(key, 6, 2.0);
  EXPECT_DOUBLE_EQ(cost.predict(key, 2), 1.0);
  EXPECT_DOUBLE_EQ(cost.predict(key, 4), 1.5);
  EXPECT_DOUBLE_EQ(cost.predict(key, 1), 0.5);
  EXPECT_DOUBLE_EQ(cost.predict(key, 12), 4.0);
}

TEST(FiniteWatch, NamesTheFirstBadRowItsStepAndSigma) {
  FiniteWatch watch(at::kCPU);
  const at::Tensor yes = at::ones({}, at::kBool), no = at::zeros({}, at::kBool);
  watch.add({yes, yes}, {0, 1}, 14.6, 0);
  EXPECT_FALSE(watch.find(false));
  watch.add({yes, no}, {0, 1}, 7.5, 1);
  const auto bad = watch.find(false);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->row, 1u);
  EXPECT_EQ(bad->step, 1);
  EXPECT_DOUBLE_EQ(bad->sigma, 7.5);
}

TEST(Counters, CountForwardsByKindAndBatchSize) {
  Counters counters;
  counters.forward("unet", 4, 0.5);
  counters.forward("unet", 4, 0.5);
  counters.forward("unet", 1, 0.25);
  const WorkerReport report = counters.snapshot();
  const ForwardCounters& unet = report.forwards.at("unet");
  EXPECT_EQ(unet.forwards, 3u);
  EXPECT_EQ(unet.rows, 9u);
  EXPECT_EQ(unet.batch_sizes, (std::map<int, std::uint64_t>{{1, 1}, {4, 2}}));
  EXPECT_DOUBLE_EQ(unet.seconds_on_device, 1.25);
  EXPECT_EQ(report.step_in_progress_ms, 0u);
}

TEST(Counters, FollowAJobFromQueueToEnd) {
  Counters counters;
  counters.accepted();
  counters.accepted();
  counters.started(std::chrono::seconds(2));
  EXPECT_EQ(counters.snapshot().jobs_queued, 1u);
  EXPECT_EQ(counters.snapshot().jobs_running, 1u);
  counters.ended(Counters::Ending::kDone, true);
  counters.ended(Counters::Ending::kCancelled, false);
  const WorkerReport report = counters.snapshot();
  EXPECT_EQ(report.jobs_queued + report.jobs_running, 0u);
  EXPECT_EQ(report.jobs_done, 1u);
  EXPECT_EQ(report.jobs_cancelled, 1u);
  EXPECT_DOUBLE_EQ(report.seconds_in_queue, 2);
}

DenoiserTraits traits_of(const std::string& family) {
  DenoiserTraits traits;
  traits.family = family;
  return traits;
}

TEST(LatentPreview, IsAPictureOfAtMostTheAskedSizeAndEightPixelsACell) {
  const at::Tensor x0 = at::zeros({2, 4, 16, 8});
  const at::Tensor large = latent_preview(traits_of("sd1"), x0, 4096);
  EXPECT_EQ(large.sizes().vec(), (std::vector<std::int64_t>{2, 128, 64, 3}));
  EXPECT_EQ(large.scalar_type(), at::kByte);
  EXPECT_EQ(large[0][0][0][0].item<int>(), 127);
  EXPECT_EQ(latent_preview(traits_of("sd1"), x0, 32).sizes().vec(),
            (std::vector<std::int64_t>{2, 32, 16, 3}));
}

TEST(LatentPreview, HasColoursOfEachFamilysOwn) {
  DenoiserTraits playground = traits_of("sdxl");
  playground.latent_mean = {0, 0, 0, 0};
  const at::Tensor x0 = at::ones({1, 4, 1, 1});
  const auto red = [&](const DenoiserTraits& traits) {
    EXPECT_TRUE(has_latent_preview(traits));
    return latent_preview(traits, x0, 1)[0][0][0][0].item<int>();
  };
  EXPECT_EQ(red(traits_of("sd1")), 150);
  EXPECT_EQ(red(traits_of("sdxl")), 128);
  EXPECT_EQ(red(playground), 111);
  EXPECT_FALSE(has_latent_preview(traits_of("flux")));
}

TEST(Memory, TellsWhatIsFreeAndWhatThisProcessHolds) {
  EXPECT_GT(available_host_bytes(), std::uint64_t{1} << 20);
  EXPECT_GT(resident_host_bytes(), std::uint64_t{1} << 20);
  EXPECT_GE(peak_resident_host_bytes(), std::uint64_t{1} << 20);
}

}  // namespace
}  // namespace luna::worker
