// The noise processes of SDXL's variants against ComfyUI (tests/parity/variants_make_fixtures.py).
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "daemon/worker/sampling/model_sampling.h"
#include "daemon/worker/sampling/schedule.h"
#include "tests/support/deterministic.h"
#include "tests/unit/daemon/worker/sampling/fixture.h"

namespace luna::worker {
namespace {

constexpr double kRounding = 3e-7;  // a few units in the last place of f32

const Fixture& fixture() {
  static const Fixture loaded("variants");
  return loaded;
}

std::map<std::string, std::unique_ptr<ModelSampling>> variants() {
  std::map<std::string, std::unique_ptr<ModelSampling>> all;
  all["v"] = make_v_sampling(false);
  all["v-zsnr"] = make_v_sampling(true);
  all["edm"] = make_edm_sampling(0.002, 80.0, 0.5);
  all["edm-v"] = make_edm_v_sampling(static_cast<double>(0.01F), 80.0, 1.0);
  return all;
}

at::Tensor made_up(const std::string& name) {
  return at::tensor(support::uniform_values(name, 72)).reshape({3, 4, 3, 2});
}

TEST(Variants, HaveComfyUisTables) {
  for (const auto& [name, sampling] : variants())
    expect_table(sampling->sigmas(), fixture().list("noise/" + name + "/table"), name);
}

TEST(Variants, TimestepsAndPercentsAreComfyUis) {
  const std::vector<double> sigmas = {0.03, 1.7, 40.0}, percents = {0.0, 0.1, 0.5, 0.999, 1.0};
  for (const auto& [name, sampling] : variants()) {
    const auto timesteps = fixture().list("noise/" + name + "/timestep");
    const auto back = fixture().list("noise/" + name + "/back");
    for (std::size_t i = 0; i < sigmas.size(); ++i) {
      EXPECT_NEAR(sampling->timestep(sigmas[i]), timesteps[i], kRounding * std::abs(timesteps[i]))
          << name;
      EXPECT_NEAR(sampling->sigma(timesteps[i]), back[i], kRounding * back[i]) << name;
    }
    const auto at_percent = fixture().list("noise/" + name + "/percent");
    for (std::size_t i = 0; i < percents.size(); ++i) {
      EXPECT_NEAR(sampling->percent_to_sigma(percents[i]), at_percent[i], kRounding * at_percent[i])
          << name << " " << percents[i];
    }
  }
}

TEST(Variants, InputPredictionAndStartAreComfyUis) {
  const at::Tensor sigma = at::tensor({0.03F, 1.7F, 40.0F});
  const at::Tensor x = made_up("noise.x"), output = made_up("noise.output");
  for (const auto& [name, sampling] : variants()) {
    const std::string prefix = "noise/" + name + "/";
    EXPECT_LE(relative_error(sampling->calculate_input(sigma, x), fixture()[prefix + "input"]),
              kRounding)
        << name;
    EXPECT_LE(relative_error(sampling->calculate_denoised(sigma, output, x),
                             fixture()[prefix + "denoised"]),
              kRounding)
        << name;
    EXPECT_LE(relative_error(sampling->noise_scaling(1.7F, x, output, false),
                             fixture()[prefix + "start"]),
              kRounding)
        << name;
    EXPECT_LE(relative_error(sampling->noise_scaling(sampling->sigma_max(), x, output, true),
                             fixture()[prefix + "start_max"]),
              kRounding)
        << name;
  }
}

TEST(Variants, WithZeroTerminalSnrARunBeginsFarAboveEveryOtherSigma) {
  const auto plain = make_v_sampling(false), zero = make_v_sampling(true);
  EXPECT_NEAR(plain->sigma_max(), 14.6146, 1e-3);
  EXPECT_GT(zero->sigma_max(), 4000);
  SamplerRun run;
  run.steps = 5;
  const std::vector<float> sigmas = run_sigmas(run, *zero).value();
  EXPECT_EQ(sigmas.front(), static_cast<float>(zero->sigma_max()));
  EXPECT_LT(sigmas[1], 100.0F);
  EXPECT_TRUE(is_max_denoise(*zero, sigmas.front()));
}

TEST(Variants, OfVelocityOverEdmsRangeSubtractWhatEdmAdds) {
  const auto edm = make_edm_sampling(0.002, 120.0, 1.0);
  const auto velocity = make_edm_v_sampling(0.002, 120.0, 1.0);
  const at::Tensor sigma = at::tensor({3.0F}), x = at::ones({1, 1, 1, 1});
  const auto x0 = [&](const ModelSampling& sampling, float output) {
    return sampling.calculate_denoised(sigma, at::full({1, 1, 1, 1}, output), x).item<float>();
  };
  EXPECT_EQ(edm->sigmas(), velocity->sigmas());
  EXPECT_FLOAT_EQ(x0(*velocity, 0.7F), x0(*edm, -0.7F));
  EXPECT_NE(x0(*velocity, 0.7F), x0(*edm, 0.7F));
}

}  // namespace
}  // namespace luna::worker
