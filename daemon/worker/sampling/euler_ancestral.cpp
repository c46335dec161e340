#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

/// k-diffusion's ancestral sampling with Euler steps.
Trajectory plain_euler_ancestral(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const auto [down, up] = ancestral_step(sigmas[i], sigmas[i + 1], eta);
    if (down == 0) {
      x = denoised;
    } else {
      const at::Tensor d = derivative(x, sigmas[i], denoised);
      x = x + d * (down - sigmas[i]) + context.noise.next() * (s_noise * up);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

/// Rectified flow: the step goes in x0 and state instead of in sigma, and noise replaces lost
/// signal too.
Trajectory flow_euler_ancestral(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const FlowAncestralStep step = flow_ancestral_step(sigmas[i], sigmas[i + 1], eta);
      const float ratio = step.down / sigmas[i];
      x = ratio * x + (1.0F - ratio) * denoised;
      if (eta > 0) x = step.scale * x + context.noise.next() * (s_noise * step.renoise);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

/// CFG++ (arXiv 2406.08070) as a DDIM step: the noise direction comes from the negative's
/// prediction.
Trajectory euler_cfg_pp(SamplerContext& context, at::Tensor x, double eta, double s_noise) {
  const auto& sigmas = context.sigmas;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const GuidedPair prediction = co_await denoise_with_uncond(context, x, sigmas[i]);
    if (sigmas[i + 1] == 0) {
      x = prediction.denoised;
    } else {
      const float alpha_s = sigmas[i] * std::exp(half_log_snr(sigmas[i], context.model));
      const float alpha_t = sigmas[i + 1] * std::exp(half_log_snr(sigmas[i + 1], context.model));
      const at::Tensor d = derivative(x, sigmas[i], alpha_s * prediction.uncond_denoised);
      const auto [down, up] = ancestral_step(sigmas[i] / alpha_s, sigmas[i + 1] / alpha_t, eta);
      x = alpha_t * prediction.denoised + alpha_t * down * d;
      if (eta > 0 && s_noise > 0) {
        x = x + context.noise.next() * (alpha_t * static_cast<float>(s_noise) * up);
      }
    }
    finish_step(context, i, x, prediction.denoised);
  }
  co_return x;
}

}  // namespace

Trajectory sample_euler_ancestral(SamplerContext& context, at::Tensor x) {
  if (context.model.is_flow()) return flow_euler_ancestral(context, std::move(x));
  return plain_euler_ancestral(context, std::move(x));
}

Trajectory sample_euler_cfg_pp(SamplerContext& context, at::Tensor x) {
  return euler_cfg_pp(context, std::move(x), 0, 0);
}

Trajectory sample_euler_ancestral_cfg_pp(SamplerContext& context, at::Tensor x) {
  return euler_cfg_pp(context, std::move(x), option(context, "eta", 1),
                      option(context, "s_noise", 1));
}

}  // namespace luna::worker
