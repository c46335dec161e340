#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {

/// Karras et al. 2022 (arXiv 2206.00364), algorithm 2 without the correction.
Trajectory sample_euler(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const float sigma = churn(context, i, x);
    const at::Tensor denoised = co_await denoise(context, x, sigma);
    x = x + derivative(x, sigma, denoised) * (sigmas[i + 1] - sigma);
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

/// Karras et al. 2022, algorithm 2: a trapezoidal correction, except into sigma 0.
Trajectory sample_heun(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const float sigma = churn(context, i, x);
    const float sigma_next = sigmas[i + 1];
    const float dt = sigma_next - sigma;
    const at::Tensor denoised = co_await denoise(context, x, sigma);
    const at::Tensor d = derivative(x, sigma, denoised);
    if (sigma_next == 0) {
      x = x + d * dt;
    } else {
      const at::Tensor x_2 = x + d * dt;
      const at::Tensor denoised_2 = co_await denoise(context, x_2, sigma_next);
      const at::Tensor d_2 = derivative(x_2, sigma_next, denoised_2);
      x = x + (d + d_2) / 2 * dt;
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
