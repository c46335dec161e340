#include <algorithm>
#include <cstdio>

#include <gtest/gtest.h>

#include "common/types/sampling.h"
#include "daemon/worker/sampling/guidance.h"
#include "daemon/worker/sampling/schedule.h"
#include "tests/unit/daemon/worker/sampling/fixture.h"
#include "tests/unit/daemon/worker/sampling/trajectory_driver.h"

namespace luna::worker {
namespace {

constexpr double kAllowed = 1e-3;        // the promise for every cell
constexpr double kMedianAllowed = 1e-5;  // and for their median
constexpr double kLatentScale = 0.18215;
const std::vector<int> kStepCounts = {1, 7, 20};

const Fixture& latents() {
  static const Fixture fixture("sampling_latents");
  return fixture;
}

struct Errors {
  std::vector<double> all;
  void add(double value) { all.push_back(value); }
  void report(const char* what) {
    ASSERT_FALSE(all.empty());
    std::sort(all.begin(), all.end());
    const double median = all[all.size() / 2];
    std::printf("%s: %zu cells, relative error median %.2e, largest %.2e\n", what, all.size(),
                median, all.back());
    EXPECT_LE(median, kMedianAllowed);
  }
};

at::Tensor sample(const SamplerRun& run, const ModelSampling& model,
                  at::Tensor latent = at::zeros({2, 4, 2, 2})) {
  AnalyticPort port;
  const auto sigmas = run_sigmas(run, model);
  EXPECT_TRUE(sigmas.ok()) << sigmas.status().to_string();
  return run_to_end(
      {run.sampler, sigmas.value(), whole_batch(7, 2), std::move(latent), run.options, {}}, model,
      port);
}

/// On the CPU the reference's *_gpu samplers draw what their namesakes do.
std::string without_gpu(const std::string& sampler) {
  return sampler.ends_with("_gpu") ? sampler.substr(0, sampler.size() - 4) : sampler;
}

void compare_cells(const char* kind, const ModelSampling& model,
                   const std::vector<std::string>& schedulers) {
  Errors errors;
  std::vector<std::string> refused;
  for (const std::string& sampler : sampler_names()) {
    const at::Tensor& expected = latents()[std::string(kind) + "/" + without_gpu(sampler)];
    double worst = 0;
    for (std::size_t s = 0; s < schedulers.size(); ++s) {
      for (std::size_t n = 0; n < kStepCounts.size(); ++n) {
        SamplerRun run;
        run.sampler = sampler;
        run.scheduler = schedulers[s];
        run.steps = kStepCounts[n];
        const at::Tensor cell =
            expected[static_cast<std::int64_t>(s)][static_cast<std::int64_t>(n)];
        const std::string name = sampler + " " + run.scheduler + " " + std::to_string(run.steps);
        if (!cell.any().item<bool>()) {
          EXPECT_FALSE(run_sigmas(run, model).ok()) << name << " is 0/0 in the reference";
          refused.push_back(name);
          continue;
        }
        const double error = relative_error(sample(run, model), cell);
        EXPECT_LE(error, kAllowed) << name;
        worst = std::max(worst, error);
        errors.add(error);
      }
    }
    std::printf("  %-24s largest %.2e\n", sampler.c_str(), worst);
  }
  for (const std::string& name : refused)
    std::printf("  0/0 in the reference, refused: %s\n", name.c_str());
  errors.report(kind);
}

TEST(SamplerParity, EverySamplerAndSchedulerEndsWhereComfyUiDoesForEps) {
  compare_cells("eps", *make_eps_sampling(),
                {"simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal",
                 "linear_quadratic", "kl_optimal"});
}

TEST(SamplerParity, EverySamplerEndsWhereComfyUiDoesForRectifiedFlow) {
  compare_cells("flow", *make_flow_sampling(3.0, 1000), {"normal", "simple"});
}

TEST(SamplerParity, OptionsChangeTheResultAsInComfyUi) {
  const std::vector<std::tuple<std::string, std::string, std::map<std::string, double>>> cases = {
      {"euler_churn", "euler", {{"s_churn", 5.0}, {"s_noise", 1.01}}},
      {"heun_churn", "heun", {{"s_churn", 30.0}, {"s_tmin", 0.5}, {"s_tmax", 8.0}}},
      {"dpm_2_churn", "dpm_2", {{"s_churn", 5.0}}},
      {"euler_ancestral_eta", "euler_ancestral", {{"eta", 0.4}, {"s_noise", 0.9}}},
      {"euler_ancestral_eta_0", "euler_ancestral", {{"eta", 0.0}}},
      {"dpm_2_ancestral_eta", "dpm_2_ancestral", {{"eta", 0.5}}},
      {"dpmpp_2s_ancestral_eta", "dpmpp_2s_ancestral", {{"eta", 0.5}, {"s_noise", 1.1}}},
      {"dpmpp_sde_r", "dpmpp_sde", {{"eta", 0.7}, {"s_noise", 1.1}, {"r", 0.3}}},
      {"dpmpp_sde_eta_0", "dpmpp_sde", {{"eta", 0.0}}},
      {"dpmpp_2m_sde_heun_by_option", "dpmpp_2m_sde", {{"eta", 0.5}, {"solver_type", 1}}},
      {"dpmpp_3m_sde_eta", "dpmpp_3m_sde", {{"eta", 0.3}, {"s_noise", 0.8}}},
      {"lcm_noise_end", "lcm", {{"s_noise", 0.8}, {"s_noise_end", 1.2}}},
      {"lms_order_2", "lms", {{"order", 2}}},
      {"heunpp2_churn", "heunpp2", {{"s_churn", 30.0}, {"s_tmin", 0.5}, {"s_tmax", 8.0}}},
      {"dpm_adaptive_order_2",
       "dpm_adaptive",
       {{"order", 2}, {"rtol", 0.1}, {"atol", 0.01}, {"h_init", 0.2}}},
      {"dpm_adaptive_pid",
       "dpm_adaptive",
       {{"pcoeff", 0.2}, {"icoeff", 0.7}, {"dcoeff", 0.1}, {"accept_safety", 0.9}}},
      {"dpm_adaptive_eta", "dpm_adaptive", {{"eta", 0.6}, {"s_noise", 0.9}}},
      {"dpmpp_2s_ancestral_cfg_pp_eta",
       "dpmpp_2s_ancestral_cfg_pp",
       {{"eta", 0.5}, {"s_noise", 1.1}}},
      {"ipndm_order_2", "ipndm", {{"max_order", 2}}},
      {"ipndm_v_order_3", "ipndm_v", {{"max_order", 3}}},
      {"deis_order_4", "deis", {{"max_order", 4}}},
      {"res_multistep_ancestral_eta", "res_multistep_ancestral", {{"eta", 0.5}, {"s_noise", 0.9}}},
      {"gradient_estimation_gamma", "gradient_estimation", {{"ge_gamma", 1.5}}},
      {"er_sde_stage_2", "er_sde", {{"max_stage", 2}, {"s_noise", 0.9}}},
      {"er_sde_reverse_time", "er_sde", {{"solver_type", 1}, {"eta", 0.7}}},
      {"er_sde_ode", "er_sde", {{"solver_type", 2}}},
      {"seeds_2_phi_2",
       "seeds_2",
       {{"solver_type", 1}, {"eta", 0.6}, {"s_noise", 1.1}, {"r", 0.3}}},
      {"seeds_3_nodes", "seeds_3", {{"eta", 0.6}, {"r_1", 0.25}, {"r_2", 0.75}}},
      {"exp_heun_2_x0_sde_phi_1", "exp_heun_2_x0_sde", {{"solver_type", 0}, {"eta", 0.5}}},
      {"sa_solver_orders",
       "sa_solver",
       {{"predictor_order", 4}, {"corrector_order", 2}, {"s_noise", 0.9}}},
      {"sa_solver_simple",
       "sa_solver",
       {{"predictor_order", 2}, {"corrector_order", 2}, {"simple_order_2", 1}}},
      {"sa_solver_pece_predictor",
       "sa_solver_pece",
       {{"predictor_order", 2}, {"corrector_order", 0}}},
  };
  Errors errors;
  for (const auto& [name, sampler, options] : cases) {
    ASSERT_TRUE(check_sampler_options(sampler, options).ok()) << name;
    SamplerRun run;
    run.sampler = sampler;
    run.scheduler = "karras";
    run.steps = 7;
    run.options = options;
    const double error =
        relative_error(sample(run, *make_eps_sampling()), latents()["options/" + name]);
    EXPECT_LE(error, kAllowed) << name;
    errors.add(error);
  }
  errors.report("options");
}

class ImageToImage : public ::testing::TestWithParam<const char*> {
 protected:
  SamplerRun karras(int steps) const {
    SamplerRun run;
    run.sampler = GetParam();
    run.scheduler = "karras";
    run.steps = steps;
    return run;
  }
  at::Tensor expected(const std::string& suffix) const {
    return latents()["image/" + std::string(GetParam()) + suffix];
  }
  const std::unique_ptr<ModelSampling> model_ = make_eps_sampling();
  const at::Tensor latent_ = latents()["image/latent"] * kLatentScale;
};

TEST_P(ImageToImage, DenoiseBelowOneRunsTheEndOfALongerSchedule) {
  SamplerRun run = karras(7);
  run.denoise = 0.6;
  EXPECT_LE(relative_error(sample(run, *model_, latent_), expected("")), kMedianAllowed);
}

TEST_P(ImageToImage, AMaskKeepsTheLatentOutsideOfIt) {
  SamplerRun run = karras(7);
  run.denoise = 0.6;
  const auto rows = whole_batch(draws_inpaint_noise_anew(run.sampler) ? 8 : 7, 2);
  AnalyticPort port;
  port.mask = latent_mask(latents()["image/mask"], latent_.sizes());
  port.latent = latent_;
  port.noise = initial_noise(rows, latent_.sizes().slice(1));
  port.model = model_.get();
  const at::Tensor result = run_to_end(
      {run.sampler, run_sigmas(run, *model_).value(), whole_batch(7, 2), latent_, {}, {}}, *model_,
      port);
  EXPECT_LE(relative_error(result, expected("_masked")), kMedianAllowed);
}

TEST_P(ImageToImage, AWindowOfStepsEndsCleanWhenFullDenoiseIsForced) {
  SamplerRun run = karras(9);
  run.start_step = 2;
  run.end_step = 6;
  EXPECT_LE(relative_error(sample(run, *model_, latent_), expected("_window")), kMedianAllowed);
}

TEST_P(ImageToImage, AWindowOfStepsKeepsItsLeftoverNoiseOtherwise) {
  SamplerRun run = karras(9);
  run.start_step = 2;
  run.end_step = 6;
  run.force_full_denoise = false;
  EXPECT_LE(relative_error(sample(run, *model_, latent_), expected("_leftover")), kMedianAllowed);
}

INSTANTIATE_TEST_SUITE_P(Samplers, ImageToImage,
                         ::testing::Values("euler", "ddim", "dpmpp_2m_sde", "uni_pc"));

}  // namespace
}  // namespace luna::worker
