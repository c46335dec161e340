// Jobs of different samplers beside each other.
#include <semaphore>

#include <gmock/gmock.h>

#include "daemon/worker/sampling/sampler.h"
#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/engine_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;

const std::vector<std::string> kSixteen = {"euler",     "euler_ancestral",
                                           "heun",      "dpm_2_ancestral",
                                           "lms",       "dpmpp_2s_ancestral",
                                           "dpmpp_sde", "dpmpp_2m",
                                           "ipndm",     "deis",
                                           "er_sde",    "dpmpp_3m_sde",
                                           "seeds_2",   "sa_solver",
                                           "lcm",       "uni_pc_bh2"};

class MixedSamplers : public EngineTest {
 protected:
  /// Runs `requests` as jobs that are all there before the first of their forwards.
  std::vector<Result<JobReply>> run_together(const std::vector<SampleRequest>& requests) {
    std::binary_semaphore all_there{0};
    Outcome gate;
    gate.on_progress = [&](const SampleProgress& progress) {
      if (progress.step == 1) all_there.acquire();
    };
    engine_->run(job(sample_request(99, "euler", 2)), gate.events());
    std::vector<std::unique_ptr<Outcome>> outcomes;
    for (const SampleRequest& request : requests) {
      outcomes.push_back(std::make_unique<Outcome>());
      engine_->run(job(request), outcomes.back()->events());
    }
    all_there.release();
    std::vector<Result<JobReply>> replies;
    for (auto& outcome : outcomes) replies.push_back(outcome->wait());
    EXPECT_TRUE(gate.wait().ok());
    return replies;
  }
  static std::vector<float> latent_of(const Result<JobReply>& reply) {
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    if (!reply.ok()) return {};
    return floats_of(std::get<SampleReply>(*reply).latents.at(0)).value();
  }
};

TEST_F(MixedSamplers, SixteenJobsOfSixteenSamplersEqualTheirSoloRunsInAThirdOfTheForwards) {
  std::vector<SampleRequest> requests;
  for (std::size_t i = 0; i < kSixteen.size(); ++i)
    requests.push_back(sample_request(i + 1, kSixteen[i], 6, 4.0));
  ASSERT_TRUE(run(sample_request(1)).ok());
  const std::uint64_t at_first = unet_forwards();
  std::vector<std::vector<float>> solo;
  for (const SampleRequest& request : requests) solo.push_back(latent_of(run(request)));
  const std::uint64_t alone = unet_forwards() - at_first;
  const auto replies = run_together(requests);
  const std::uint64_t together = unet_forwards() - at_first - alone;
  for (std::size_t i = 0; i < solo.size(); ++i)
    EXPECT_THAT(latent_of(replies[i]), IsNear(solo[i], 1e-4)) << kSixteen[i];
  EXPECT_LE(together, alone / 3) << "of " << alone << " alone";
}

class Cancelled : public MixedSamplers, public testing::WithParamInterface<std::string> {};

TEST_P(Cancelled, JobFreesEverythingWithinOneEvaluation) {
  Outcome outcome;
  const Job endless = job(sample_request(1, GetParam(), 1000));
  std::uint64_t at_cancel = 0;
  outcome.on_progress = [&](const SampleProgress&) {
    if (at_cancel == 0) engine_->cancel(endless.id);
    if (at_cancel == 0) at_cancel = unet_forwards();
  };
  engine_->run(endless, outcome.events());
  EXPECT_EQ(outcome.wait().status().code(), StatusCode::kCancelled);
  EXPECT_LE(unet_forwards(), at_cancel + 1);
  const WorkerReport report = engine_->report();
  EXPECT_EQ(report.jobs_running, 0U);
  EXPECT_EQ(report.jobs_queued, 0U);
  EXPECT_EQ(report.jobs_cancelled, 1U);
}

INSTANTIATE_TEST_SUITE_P(Of, Cancelled,
                         testing::Values("euler", "seeds_3", "sa_solver_pece", "dpmpp_2m_sde",
                                         "dpmpp_2s_ancestral_cfg_pp", "er_sde"),
                         [](const auto& info) { return info.param; });

TEST_F(MixedSamplers, EverySamplerEndsWithTheProgressOfItsLastStep) {
  for (const std::string& sampler : sampler_names()) {
    Outcome outcome;
    engine_->run(job(sample_request(1, sampler, 5)), outcome.events());
    const auto reply = outcome.wait();
    ASSERT_TRUE(reply.ok()) << sampler << ": " << reply.status().to_string();
    const auto progress = outcome.progress();
    ASSERT_FALSE(progress.empty()) << sampler;
    const int steps = static_cast<int>(std::get<SampleReply>(*reply).sigmas.size()) - 1;
    for (std::size_t i = 0; i < progress.size(); ++i) {
      EXPECT_EQ(progress[i].steps, steps) << sampler;
      EXPECT_GE(progress[i].step, i == 0 ? 1 : progress[i - 1].step) << sampler;
      EXPECT_GT(progress[i].sigma, 0) << sampler;
      EXPECT_GE(progress[i].rows_in_batch, 1) << sampler;
    }
    EXPECT_EQ(progress.back().step, steps) << sampler;
  }
}

}  // namespace
}  // namespace luna::worker
