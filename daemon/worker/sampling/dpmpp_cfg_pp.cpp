#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {

/// DPM-Solver++(2S) with ancestral noise under CFG++ (arXiv 2211.01095, 2406.08070): each half of a
/// step starts from the state moved by the first prediction less the negative's newest.
Trajectory sample_dpmpp_2s_ancestral_cfg_pp(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const GuidedPair prediction = co_await denoise_with_uncond(context, x, sigmas[i]);
    const auto [down, up] = ancestral_step(sigmas[i], sigmas[i + 1], eta);
    if (down == 0) {
      x = prediction.denoised;
    } else {
      const float t = -std::log(sigmas[i]);
      const float h = -std::log(down) - t;
      const float sigma_s = std::exp(-(t + 0.5F * h));
      const float sigma_t = std::exp(-t);
      const at::Tensor x_2 =
          sigma_s / sigma_t * (x + (prediction.denoised - prediction.uncond_denoised)) -
          std::expm1(-h * 0.5F) * prediction.denoised;
      const GuidedPair middle = co_await denoise_with_uncond(context, x_2, sigma_s);
      x = std::exp(std::log(down)) / sigma_t *
              (x + (prediction.denoised - middle.uncond_denoised)) -
          std::expm1(-h) * middle.denoised;
    }
    if (sigmas[i + 1] > 0) x = x + context.noise.next() * s_noise * up;
    finish_step(context, i, x, prediction.denoised);
  }
  co_return x;
}

/// DPM-Solver++(2M) under CFG++: the state decays along the negative's prediction, and the last
/// negative stands for the last prediction in the second-order term.
Trajectory sample_dpmpp_2m_cfg_pp(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  at::Tensor old_uncond;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const GuidedPair prediction = co_await denoise_with_uncond(context, x, sigmas[i]);
    const float t = -std::log(sigmas[i]);
    const float h = -std::log(sigmas[i + 1]) - t;
    const float decay = std::exp(-h);
    at::Tensor mix = -decay * prediction.uncond_denoised;
    if (old_uncond.defined() && sigmas[i + 1] != 0) {
      const float h_last = t + std::log(sigmas[i - 1]);
      const float weight = 1 / (2 * (h_last / h));
      mix = mix - std::expm1(-h) * weight * (prediction.denoised - old_uncond);
    }
    x = prediction.denoised + mix + decay * x;
    old_uncond = prediction.uncond_denoised;
    finish_step(context, i, x, prediction.denoised);
  }
  co_return x;
}

}  // namespace luna::worker
