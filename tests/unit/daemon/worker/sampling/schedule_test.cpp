#include "daemon/worker/sampling/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/sampling/fixture.h"

namespace luna::worker {
namespace {

constexpr float kRounding = 3e-7F;

const Fixture& fixture() {
  static const Fixture loaded("sampling_tables");
  return loaded;
}

SamplerRun run_of(const std::string& scheduler, int steps, double denoise = 1) {
  SamplerRun run;
  run.scheduler = scheduler;
  run.steps = steps;
  run.denoise = denoise;
  return run;
}

/// Compares one list; an empty list in the fixture stands for 0/0 in the reference.
void expect_sigmas(const ModelSampling& model, const SamplerRun& run, const std::string& name) {
  const auto expected = fixture().list(name);
  const auto sigmas = run_sigmas(run, model);
  if (expected.empty()) {
    EXPECT_EQ(sigmas.status().code(), StatusCode::kInvalidArgument) << name;
    return;
  }
  ASSERT_TRUE(sigmas.ok()) << name << ": " << sigmas.status().to_string();
  ASSERT_EQ(sigmas->size(), expected.size()) << name;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR((*sigmas)[i], expected[i], kRounding * expected[i]) << name << " at " << i;
  }
}

TEST(Schedule, EverySchedulerGivesComfyUisSigmas) {
  const auto model = make_eps_sampling();
  for (const std::string& scheduler : scheduler_names()) {
    for (const std::string sampler : {"euler", "uni_pc"}) {
      for (const int steps : {1, 2, 7, 20, 50}) {
        for (const auto& [denoise, text] : {std::pair{1.0, "1.0"}, std::pair{0.6, "0.6"}}) {
          SamplerRun run = run_of(scheduler, steps, denoise);
          run.sampler = sampler;
          expect_sigmas(
              *model, run,
              "sigmas/eps/" + scheduler + "/" + sampler + "/" + std::to_string(steps) + "/" + text);
        }
      }
    }
  }
}

TEST(Schedule, FollowsTheModelsTable) {
  const auto flow = make_flow_sampling(3.0, 1000);
  const auto v_zsnr = make_v_sampling(true);
  for (const std::string& scheduler : scheduler_names()) {
    for (const int steps : {1, 7, 20}) {
      const std::string end = scheduler + "/euler/" + std::to_string(steps) + "/1.0";
      expect_sigmas(*flow, run_of(scheduler, steps), "sigmas/flow/" + end);
      expect_sigmas(*v_zsnr, run_of(scheduler, steps), "sigmas/v_zsnr/" + end);
    }
  }
}

TEST(Schedule, DescendsToZeroForEverySchedulerStepCountAndDenoise) {
  const auto model = make_eps_sampling();
  std::vector<int> step_counts;
  for (int steps = 2; steps <= 60; ++steps) step_counts.push_back(steps);
  for (int steps = 61; steps <= 1000; steps += steps / 7) step_counts.push_back(steps);
  step_counts.push_back(1000);
  for (const std::string& scheduler : scheduler_names()) {
    for (const int steps : step_counts) {
      for (const double denoise : {1.0, 0.9999, 0.75, 0.31}) {
        const auto sigmas = run_sigmas(run_of(scheduler, steps, denoise), *model);
        ASSERT_TRUE(sigmas.ok());
        EXPECT_TRUE(std::is_sorted(sigmas->rbegin(), sigmas->rend())) << scheduler << steps;
        if (steps <= 60) {
          EXPECT_EQ(std::adjacent_find(sigmas->begin(), sigmas->end()), sigmas->end())
              << scheduler << steps;
        }
        EXPECT_EQ(sigmas->back(), 0) << scheduler << steps;
        EXPECT_LE(sigmas->front(), model->sigma_max() * (1 + 1e-6));
        if (denoise < 0.9999) {
          EXPECT_LE(sigmas->size(), static_cast<std::size_t>(steps) + 1);
        }
      }
    }
  }
}

TEST(Schedule, ServesTheLargestStepCount) {
  const auto model = make_eps_sampling();
  for (const std::string& scheduler : scheduler_names()) {
    EXPECT_TRUE(run_sigmas(run_of(scheduler, 10000), *model).ok()) << scheduler;
  }
}

TEST(Schedule, DenoiseZeroLeavesNothingToDo) {
  EXPECT_TRUE(run_sigmas(run_of("karras", 20, 0), *make_eps_sampling())->empty());
}

TEST(Schedule, AWindowKeepsTheSigmasBetweenItsSteps) {
  const auto model = make_eps_sampling();
  const auto whole = *run_sigmas(run_of("karras", 9), *model);
  SamplerRun run = run_of("karras", 9);
  run.start_step = 2;
  run.end_step = 5;
  run.force_full_denoise = false;
  EXPECT_EQ(*run_sigmas(run, *model), (std::vector<float>{whole[2], whole[3], whole[4], whole[5]}));
  run.force_full_denoise = true;
  EXPECT_EQ(*run_sigmas(run, *model), (std::vector<float>{whole[2], whole[3], whole[4], 0}));
  run.end_step = 10000;
  EXPECT_EQ(run_sigmas(run, *model)->size(), whole.size() - 2);
}

TEST(Schedule, AWindowThatStartsBehindTheEndLeavesNothingToDo) {
  SamplerRun run = run_of("karras", 9);
  run.start_step = 9;
  EXPECT_TRUE(run_sigmas(run, *make_eps_sampling())->empty());
  run.start_step = std::numeric_limits<int>::max();
  EXPECT_TRUE(run_sigmas(run, *make_eps_sampling())->empty());
}

TEST(Schedule, ExplicitSigmasReplaceSchedulerStepsAndDenoise) {
  SamplerRun run = run_of("no such", -1, 7);
  run.sigmas = {5, 2, 2, 0.5F};
  EXPECT_EQ(*run_sigmas(run, *make_eps_sampling()), run.sigmas);
  run.end_step = 1;
  EXPECT_EQ(*run_sigmas(run, *make_eps_sampling()), (std::vector<float>{5, 0}));
}

TEST(Schedule, RefusesSigmasThatRiseOrAreNoNumbers) {
  const auto model = make_eps_sampling();
  for (const std::vector<float>& bad : {std::vector<float>{1, 2, 0},
                                        {2, std::nanf(""), 0},
                                        {std::numeric_limits<float>::infinity(), 0},
                                        {1, -1}}) {
    SamplerRun run;
    run.sigmas = bad;
    EXPECT_EQ(run_sigmas(run, *model).status().code(), StatusCode::kInvalidArgument);
  }
  SamplerRun many;
  many.sigmas.assign(20000, 1);
  EXPECT_FALSE(run_sigmas(many, *model).ok());
}

TEST(Schedule, RefusalsNameWhatWasFound) {
  const auto model = make_eps_sampling();
  const auto message = [&](const SamplerRun& run) {
    return run_sigmas(run, *model).status().message();
  };
  EXPECT_NE(message(run_of("karas", 20)).find("'karras'"), std::string::npos);
  EXPECT_NE(message(run_of("karras", 0)).find("steps is 0"), std::string::npos);
  EXPECT_NE(message(run_of("karras", 10001)).find("10001"), std::string::npos);
  EXPECT_NE(message(run_of("karras", 20, 1.5)).find("1.5"), std::string::npos);
  EXPECT_NE(message(run_of("karras", 20, std::nan(""))).find("nan"), std::string::npos);
  EXPECT_NE(message(run_of("karras", 20, 1e-6)).find("20000000"), std::string::npos);
  EXPECT_NE(message(run_of("kl_optimal", 1)).find("0/0"), std::string::npos);
  SamplerRun negative = run_of("karras", 20);
  negative.start_step = -1;
  EXPECT_NE(message(negative).find("-1"), std::string::npos);
}

}  // namespace
}  // namespace luna::worker
