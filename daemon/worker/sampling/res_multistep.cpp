#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

/// Weights of the newest and the last prediction in one exponential step of width h.
struct StepWeights {
  StepWeights(float h, float last_distance) {
    const float phi_1 = std::expm1(-h) / -h;
    const float phi_2 = (phi_1 - 1) / -h;
    const float of_old = phi_2 / (last_distance / h);
    newest = finite_or_zero(phi_1 - of_old);
    old = finite_or_zero(of_old);
  }
  static float finite_or_zero(float value) { return std::isnan(value) ? 0.0F : value; }
  float newest = 0;
  float old = 0;
};

/// Refined exponential solver, two-step form (Zhang et al., arXiv 2308.02157). `cfg_pp`: the
/// direction comes from the negative's prediction (arXiv 2406.08070).
Trajectory res_multistep(SamplerContext& context, at::Tensor x, double eta, bool cfg_pp) {
  const auto& sigmas = context.sigmas;
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  at::Tensor old_direction;
  float old_down = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    at::Tensor denoised;
    at::Tensor direction;
    if (cfg_pp) {
      const GuidedPair prediction = co_await denoise_with_uncond(context, x, sigmas[i]);
      denoised = prediction.denoised;
      direction = prediction.uncond_denoised;
    } else {
      denoised = co_await denoise(context, x, sigmas[i]);
      direction = denoised;
    }
    const auto [down, up] = ancestral_step(sigmas[i], sigmas[i + 1], eta);
    if (down == 0 || !old_direction.defined()) {
      const at::Tensor d = derivative(x, sigmas[i], direction);
      x = cfg_pp ? denoised + d * down : x + d * (down - sigmas[i]);
    } else {
      const float t = -std::log(sigmas[i]);
      const float h = -std::log(down) - t;
      const StepWeights weights(h, -std::log(sigmas[i - 1]) + std::log(old_down));
      if (cfg_pp) x = x + (denoised - direction);
      x = std::exp(-h) * x + h * (weights.newest * direction + weights.old * old_direction);
    }
    if (sigmas[i + 1] > 0 && eta > 0) x = x + context.noise.next() * s_noise * up;
    old_direction = direction;
    old_down = down;
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace

Trajectory sample_res_multistep(SamplerContext& context, at::Tensor x) {
  return res_multistep(context, std::move(x), 0, false);
}

Trajectory sample_res_multistep_cfg_pp(SamplerContext& context, at::Tensor x) {
  return res_multistep(context, std::move(x), 0, true);
}

Trajectory sample_res_multistep_ancestral(SamplerContext& context, at::Tensor x) {
  return res_multistep(context, std::move(x), option(context, "eta", 1), false);
}

Trajectory sample_res_multistep_ancestral_cfg_pp(SamplerContext& context, at::Tensor x) {
  return res_multistep(context, std::move(x), option(context, "eta", 1), true);
}

}  // namespace luna::worker
