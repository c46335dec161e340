#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {

/// Gradient estimation (Permenter and Yuan, openreview o2ND9v0CeK): Euler's step along the
/// derivative, pushed on by option ge_gamma - 1 times its change.
Trajectory sample_gradient_estimation(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double gamma = option(context, "ge_gamma", 2);
  at::Tensor old_d;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const float dt = sigmas[i + 1] - sigmas[i];
    const at::Tensor d = derivative(x, sigmas[i], denoised);
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      x = x + d * dt;
      if (old_d.defined()) x = x + (gamma - 1) * (d - old_d) * dt;
    }
    old_d = d;
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

/// The same with the derivative of the negative's prediction (CFG++, arXiv 2406.08070).
Trajectory sample_gradient_estimation_cfg_pp(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double gamma = option(context, "ge_gamma", 2);
  at::Tensor old_d;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const GuidedPair prediction = co_await denoise_with_uncond(context, x, sigmas[i]);
    const at::Tensor d = derivative(x, sigmas[i], prediction.uncond_denoised);
    x = prediction.denoised;
    if (sigmas[i + 1] != 0) {
      x = x + d * sigmas[i + 1];
      if (old_d.defined()) x = x + (gamma - 1) * (d - old_d) * (sigmas[i + 1] - sigmas[i]);
    }
    old_d = d;
    finish_step(context, i, x, prediction.denoised);
  }
  co_return x;
}

}  // namespace luna::worker
