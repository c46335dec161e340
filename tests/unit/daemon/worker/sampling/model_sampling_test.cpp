#include "daemon/worker/sampling/model_sampling.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/sampling/fixture.h"

namespace luna::worker {
namespace {

constexpr double kRounding = 3e-7;  // a few units in the last place of f32

const Fixture& fixture() {
  static const Fixture loaded("sampling_tables");
  return loaded;
}

std::map<std::string, std::unique_ptr<ModelSampling>> all_models() {
  std::map<std::string, std::unique_ptr<ModelSampling>> models;
  models["eps"] = make_eps_sampling();
  models["v"] = make_v_sampling(false);
  models["v_zsnr"] = make_v_sampling(true);
  models["edm"] = make_edm_sampling(0.002, 120, 1.0);
  models["flow"] = make_flow_sampling(3.0, 1000);
  models["flux"] = make_flux_sampling(1.15);
  return models;
}

TEST(ModelSampling, HaveComfyUisTables) {
  for (const auto& [kind, model] : all_models()) {
    std::vector<float> table = model->sigmas();
    if (kind == "flux") {
      table.clear();
      for (std::size_t i = 0; i < model->sigmas().size(); i += 50)
        table.push_back(model->sigmas()[i]);
    }
    expect_table(table, fixture().list("table/" + kind), kind);
  }
}

TEST(ModelSampling, TablesAscend) {
  for (const auto& [kind, model] : all_models()) {
    const auto& table = model->sigmas();
    EXPECT_TRUE(std::is_sorted(table.begin(), table.end())) << kind;
    EXPECT_EQ(model->sigma_min(), table.front());
    EXPECT_EQ(model->sigma_max(), table.back());
  }
}

TEST(ModelSampling, TimestepsAndTheirSigmasAreComfyUis) {
  for (const std::string kind : {"eps", "v_zsnr", "edm", "flow", "flux"}) {
    const auto model = std::move(all_models()[kind]);
    const auto sigmas = fixture().list("probe/" + kind + "/sigma");
    const auto timesteps = fixture().list("probe/" + kind + "/timestep");
    const auto back = fixture().list("probe/" + kind + "/back");
    for (std::size_t i = 0; i < sigmas.size(); ++i) {
      EXPECT_NEAR(model->timestep(sigmas[i]), timesteps[i], kRounding * std::abs(timesteps[i]))
          << kind;
      EXPECT_NEAR(model->sigma(timesteps[i]), back[i], kRounding * back[i]) << kind;
    }
  }
}

TEST(ModelSampling, PercentsBecomeComfyUisSigmas) {
  const at::Tensor percents = fixture()["probe/percents"];
  for (const std::string kind : {"eps", "v_zsnr", "edm", "flow", "flux"}) {
    const auto model = std::move(all_models()[kind]);
    const auto expected = fixture().list("probe/" + kind + "/percent");
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double percent = percents[static_cast<std::int64_t>(i)].item<double>();
      EXPECT_NEAR(model->percent_to_sigma(percent), expected[i], kRounding * expected[i])
          << kind << percent;
    }
  }
}

TEST(ModelSampling, ATimestepBetweenTableEntriesInterpolatesLogSigma) {
  const auto model = make_eps_sampling();
  const double below = model->sigmas()[500];
  const double above = model->sigmas()[501];
  EXPECT_NEAR(model->sigma(500.5), std::sqrt(below * above), 1e-6);
  EXPECT_EQ(model->timestep(below), 500);
  EXPECT_EQ(model->timestep(model->sigma(500.4)), 500);
}

TEST(ModelSampling, InputDenoisedAndNoiseFollowTheParametrization) {
  std::map<std::string, std::unique_ptr<ModelSampling>> models;
  models["eps"] = make_eps_sampling();
  models["v"] = make_v_sampling(false);
  models["edm"] = make_edm_sampling(0.002, 120, 0.5);
  models["flow"] = make_flow_sampling(3.0, 1000);
  const at::Tensor& x = fixture()["scaling/x"];
  const at::Tensor& output = fixture()["scaling/output"];
  for (const auto& [kind, model] : models) {
    const std::string prefix = "scaling/" + kind + "/";
    const at::Tensor& sigma = fixture()[prefix + "sigma"];
    const double first = sigma[0].item<float>();
    EXPECT_LE(relative_error(model->calculate_input(sigma, x), fixture()[prefix + "input"]),
              kRounding)
        << kind;
    EXPECT_LE(
        relative_error(model->calculate_denoised(sigma, output, x), fixture()[prefix + "denoised"]),
        kRounding)
        << kind;
    EXPECT_LE(
        relative_error(model->noise_scaling(first, x, output, false), fixture()[prefix + "start"]),
        kRounding)
        << kind;
    EXPECT_LE(relative_error(model->noise_scaling(first, x, output, true),
                             fixture()[prefix + "start_max"]),
              kRounding)
        << kind;
    EXPECT_LE(relative_error(model->inverse_noise_scaling(sigma[1].item<float>(), x),
                             fixture()[prefix + "end"]),
              kRounding)
        << kind;
  }
}

TEST(ModelSampling, ARowsResultDoesNotDependOnTheOtherRows) {
  const auto model = make_v_sampling(false);
  const at::Tensor x = fixture()["scaling/x"];
  const at::Tensor sigma = at::tensor({5.0F, 0.2F});
  const at::Tensor both = model->calculate_denoised(sigma, x, x);
  for (std::int64_t row = 0; row < 2; ++row) {
    const at::Tensor alone = x.narrow(0, row, 1);
    EXPECT_TRUE(at::equal(both.narrow(0, row, 1),
                          model->calculate_denoised(sigma.narrow(0, row, 1), alone, alone)));
  }
}

TEST(ModelSampling, NoiseScalingLeavesItsInputsAlone) {
  const at::Tensor noise = at::ones({1, 1, 2, 2});
  make_eps_sampling()->noise_scaling(3, noise, at::ones({1, 1, 2, 2}), false);
  EXPECT_TRUE(at::equal(noise, at::ones({1, 1, 2, 2})));
}

TEST(IsMaxDenoise, HoldsFromTheLargestSigmaUp) {
  const auto model = make_eps_sampling();
  EXPECT_TRUE(is_max_denoise(*model, model->sigma_max()));
  EXPECT_TRUE(is_max_denoise(*model, model->sigma_max() * (1 - 5e-6)));
  EXPECT_TRUE(is_max_denoise(*model, 20));
  EXPECT_FALSE(is_max_denoise(*model, model->sigma_max() * (1 - 5e-5)));
}

}  // namespace
}  // namespace luna::worker
