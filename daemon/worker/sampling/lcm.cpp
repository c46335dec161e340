#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {

/// Latent consistency sampling (arXiv 2310.04378): jump to x0, then back to the next sigma with new
/// noise, whose strength goes linearly from option s_noise to s_noise_end.
Trajectory sample_lcm(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double s_noise = option(context, "s_noise", 1);
  const double s_noise_end = option(context, "s_noise_end", s_noise);
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    x = denoised;
    if (sigmas[i + 1] > 0) {
      const std::size_t last = sigmas.size() - 2;
      const double progress = last > 0 ? static_cast<double>(i) / static_cast<double>(last) : 0;
      const double strength = s_noise + (s_noise_end - s_noise) * progress;
      x = context.model.noise_scaling(sigmas[i + 1], context.noise.next() * strength, denoised,
                                      false);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

/// Ho et al. 2020 (arXiv 2006.11239): the posterior's mean and variance, in the variance-preserving
/// state x / sqrt(1 + sigma^2).
Trajectory sample_ddpm(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const float sigma = sigmas[i];
    const float sigma_next = sigmas[i + 1];
    const at::Tensor denoised = co_await denoise(context, x, sigma);
    const at::Tensor eps = derivative(x, sigma, denoised);
    const float alpha_bar = 1 / (sigma * sigma + 1);
    const float alpha_bar_next = 1 / (sigma_next * sigma_next + 1);
    const float alpha = alpha_bar / alpha_bar_next;
    const at::Tensor scaled = x / std::sqrt(1 + sigma * sigma);
    x = std::sqrt(1 / alpha) * (scaled - (1 - alpha) * eps / std::sqrt(1 - alpha_bar));
    if (sigma_next > 0) {
      const float variance = (1 - alpha) * (1 - alpha_bar_next) / (1 - alpha_bar);
      x = x + context.noise.next() * std::sqrt(variance);
      x = x * std::sqrt(1 + sigma_next * sigma_next);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
