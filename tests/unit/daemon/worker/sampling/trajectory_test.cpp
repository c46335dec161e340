#include <algorithm>
#include <stdexcept>

#include <gtest/gtest.h>

#include "common/types/sampling.h"
#include "daemon/worker/sampling/schedule.h"
#include "tests/unit/daemon/worker/sampling/trajectory_driver.h"

namespace luna::worker {
namespace {

const std::vector<std::int64_t> kChw = {4, 3, 2};

/// Goes steps of its own width rather than the schedule's.
bool has_steps_of_its_own(const std::string& sampler) {
  return sampler == "dpm_fast" || sampler == "dpm_adaptive";
}

class EverySampler : public ::testing::TestWithParam<std::string> {
 protected:
  EverySampler() {
    SamplerRun run;
    run.sampler = GetParam();
    run.scheduler = "karras";
    run.steps = 6;
    sigmas_ = run_sigmas(run, *model_).value();
  }

  at::Tensor result_of(const std::vector<NoiseRow>& rows, StepObserver on_step = {}) {
    AnalyticPort port;
    const at::Tensor latent = at::zeros({static_cast<std::int64_t>(rows.size()), 4, 3, 2});
    return run_to_end({GetParam(), sigmas_, rows, latent, {}, std::move(on_step)}, *model_, port);
  }

  const std::unique_ptr<ModelSampling> model_ = make_eps_sampling();
  std::vector<float> sigmas_;
};

TEST_P(EverySampler, GivesEachRowOfAMixedBatchItsSoloResult) {
  if (GetParam() == "dpm_adaptive") GTEST_SKIP() << "has a promise of its own below";
  const std::vector<NoiseRow> rows = {{1, 1, 0}, {2, 3, 1}, {2, 3, 0}, {77, 1, 0}};
  const at::Tensor together = result_of(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(at::equal(together[static_cast<std::int64_t>(i)], result_of({rows[i]})[0]))
        << "row " << i;
  }
}

TEST_P(EverySampler, GivesTheSameResultTwice) {
  EXPECT_TRUE(at::equal(result_of({{5, 1, 0}}), result_of({{5, 1, 0}})));
}

TEST_P(EverySampler, TellsTheObserverOfEveryStepInOrder) {
  if (has_steps_of_its_own(GetParam())) GTEST_SKIP() << "has a promise of its own below";
  std::vector<int> steps;
  std::vector<double> told;
  at::Tensor last;
  const at::Tensor result = result_of(
      {{5, 1, 0}}, [&](int step, const at::Tensor& x, const at::Tensor& denoised, double sigma) {
        steps.push_back(step);
        told.push_back(sigma);
        EXPECT_EQ(x.sizes(), denoised.sizes());
        last = x;
      });
  EXPECT_EQ(steps, (std::vector<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(told, std::vector<double>(sigmas_.begin(), sigmas_.end() - 1));
  if (GetParam().find("uni_pc") == std::string::npos) {
    EXPECT_TRUE(at::equal(last, result));
  }
}

TEST_P(EverySampler, FreesItsStateWhenDestroyedAtAnyEvaluation) {
  for (int served = 0; served < 16; ++served) {
    AnalyticPort port;
    at::Tensor start = at::randn({1, 4, 3, 2}) * sigmas_.front();
    const at::Tensor kept = start;
    {
      const auto noise = make_step_noise({{5, 1, 0}}, kChw, at::kCPU, sigmas_);
      SamplerContext context{port, *model_, sigmas_, *noise, {}, {}};
      Trajectory trajectory = find_sampler(GetParam()).value()(context, std::move(start));
      trajectory.start();
      for (int i = 0; i < served && !trajectory.done(); ++i) port.serve_one();
      if (!port.idle()) port.drop_oldest();
    }
    EXPECT_EQ(kept.use_count(), 1U) << "after " << served << " evaluations";
  }
}

TEST_P(EverySampler, CanBeDestroyedBeforeItStarts) {
  AnalyticPort port;
  at::Tensor start = at::zeros({1, 4, 3, 2});
  const at::Tensor kept = start;
  {
    const auto noise = make_step_noise({{5, 1, 0}}, kChw, at::kCPU, sigmas_);
    SamplerContext context{port, *model_, sigmas_, *noise, {}, {}};
    const Trajectory trajectory = find_sampler(GetParam()).value()(context, std::move(start));
  }
  EXPECT_EQ(kept.use_count(), 1U);
  EXPECT_TRUE(port.idle());
}

TEST_P(EverySampler, YieldsItsStartWhenThereIsNoStep) {
  for (const std::vector<float>& none : {std::vector<float>{}, std::vector<float>{3}}) {
    AnalyticPort port;
    const at::Tensor start = at::randn({1, 4, 3, 2});
    const auto noise = make_step_noise({{5, 1, 0}}, kChw, at::kCPU, none);
    SamplerContext context{port, *model_, none, *noise, {}, {}};
    Trajectory trajectory = find_sampler(GetParam()).value()(context, start);
    trajectory.start();
    ASSERT_TRUE(trajectory.done());
    EXPECT_TRUE(at::equal(trajectory.result(), start));
  }
}

TEST_P(EverySampler, NeverWritesToAStateThatItHandedOut) {
  AnalyticPort port;
  const at::Tensor start = at::randn({1, 4, 3, 2}) * sigmas_.front();
  const at::Tensor copy = start.clone();
  const auto noise = make_step_noise({{5, 1, 0}}, kChw, at::kCPU, sigmas_);
  SamplerContext context{port, *model_, sigmas_, *noise, {}, {}};
  Trajectory trajectory = find_sampler(GetParam()).value()(context, start);
  trajectory.start();
  while (!trajectory.done()) port.serve_one();
  EXPECT_TRUE(at::equal(start, copy));
}

INSTANTIATE_TEST_SUITE_P(Table, EverySampler, ::testing::ValuesIn(sampler_names()),
                         [](const auto& info) { return info.param; });

class OwnSteps : public EverySampler {};

TEST_P(OwnSteps, TellTheObserverHowFarTheyAreInTheSchedule) {
  std::vector<int> steps;
  std::vector<double> told;
  at::Tensor last;
  const at::Tensor result =
      result_of({{5, 1, 0}}, [&](int step, const at::Tensor& x, const at::Tensor&, double sigma) {
        steps.push_back(step);
        told.push_back(sigma);
        last = x;
      });
  ASSERT_FALSE(steps.empty());
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_GE(steps.front(), 0);
  EXPECT_EQ(steps.back(), 5);
  EXPECT_TRUE(std::is_sorted(told.rbegin(), told.rend()));
  EXPECT_NEAR(told.back(), sigmas_[sigmas_.size() - 2], 1e-5);
  EXPECT_TRUE(at::equal(last, result));
}

INSTANTIATE_TEST_SUITE_P(Table, OwnSteps, ::testing::Values("dpm_fast", "dpm_adaptive"),
                         [](const auto& info) { return info.param; });

/// As in ComfyUI, whose batch has one error: the exception to rows that see nothing of each other.
TEST(DpmAdaptive, RowsOfACallShareTheirStepsAndLittleElse) {
  const auto model = make_eps_sampling();
  const std::vector<float> sigmas = {10, 4, 1, 0};
  const auto run = [&](const std::vector<NoiseRow>& rows) {
    AnalyticPort port;
    const at::Tensor latent = at::zeros({static_cast<std::int64_t>(rows.size()), 4, 3, 2});
    return run_to_end({"dpm_adaptive", sigmas, rows, latent, {}, {}}, *model, port);
  };
  const at::Tensor twice = run({{1, 1, 0}, {1, 1, 0}});
  EXPECT_TRUE(at::equal(twice[0], twice[1]));
  EXPECT_TRUE(at::allclose(twice[0], run({{1, 1, 0}})[0], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(run({{1, 1, 0}, {2, 1, 0}})[0], twice[0], 0.1, 0.05));
}

TEST(DpmAdaptive, EndsWithAnErrorWhenItsStepsBecomeTooSmall) {
  AnalyticPort port;
  const auto model = make_eps_sampling();
  const std::vector<float> sigmas = {10, 1, 0};
  const auto noise = make_step_noise({{5, 1, 0}}, kChw, at::kCPU, sigmas);
  SamplerContext context{port, *model, sigmas, *noise, {{"rtol", 0}, {"atol", 0}}, {}};
  Trajectory trajectory =
      find_sampler("dpm_adaptive").value()(context, at::randn({1, 4, 3, 2}) * 10);
  trajectory.start();
  while (!trajectory.done()) port.serve_one();
  try {
    trajectory.result();
    FAIL() << "expected an error";
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what()).find("rtol or atol is too low"), std::string::npos);
  }
}

class RefusingPort final : public EvaluationPort {
 public:
  void enqueue(Evaluation*) override { throw std::runtime_error("refused"); }
};

TEST(Trajectory, RethrowsWhatItsSamplerThrew) {
  RefusingPort port;
  const auto model = make_eps_sampling();
  const std::vector<float> sigmas = {1, 0};
  const auto noise = make_step_noise({{5, 1, 0}}, kChw, at::kCPU, sigmas);
  SamplerContext context{port, *model, sigmas, *noise, {}, {}};
  Trajectory trajectory = find_sampler("euler").value()(context, at::zeros({1, 4, 3, 2}));
  trajectory.start();
  ASSERT_TRUE(trajectory.done());
  EXPECT_THROW(trajectory.result(), std::runtime_error);
}

TEST(Trajectory, InterleavedRunsDoNotDisturbEachOther) {
  AnalyticPort port;
  const auto model = make_eps_sampling();
  const std::vector<float> sigmas = {10, 4, 1, 0};
  const auto names = sampler_names();
  std::vector<std::unique_ptr<StepNoise>> noises;
  std::deque<SamplerContext> contexts;
  std::vector<Trajectory> trajectories;
  const at::Tensor start = at::full({1, 4, 3, 2}, 2.0F);
  for (const std::string& name : names) {
    noises.push_back(make_step_noise({{5, 1, 0}}, kChw, at::kCPU, sigmas));
    contexts.push_back({port, *model, sigmas, *noises.back(), {}, {}});
    trajectories.push_back(find_sampler(name).value()(contexts.back(), start));
    trajectories.back().start();
  }
  while (!port.idle()) port.serve_one();
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_TRUE(trajectories[i].done()) << names[i];
    AnalyticPort own;
    const auto noise = make_step_noise({{5, 1, 0}}, kChw, at::kCPU, sigmas);
    SamplerContext context{own, *model, sigmas, *noise, {}, {}};
    Trajectory alone = find_sampler(names[i]).value()(context, start);
    alone.start();
    while (!alone.done()) own.serve_one();
    EXPECT_TRUE(at::equal(trajectories[i].result(), alone.result())) << names[i];
  }
}

}  // namespace
}  // namespace luna::worker
