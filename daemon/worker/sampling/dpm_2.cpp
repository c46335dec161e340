#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

/// One second-order step of `x` from `sigma` to `down` through the sigma halfway in log; `d` is the
/// derivative at `sigma`. A coroutine cannot await through a plain function, so the two halves are
/// apart: this is the first, the caller evaluates at `middle` and finishes with x + derivative *
/// (down - sigma).
struct Midpoint {
  Midpoint(const at::Tensor& x, const at::Tensor& d, float sigma, float down)
      : middle(geometric_mean(sigma, down)), x_middle(x + d * (middle - sigma)) {}
  float middle;
  at::Tensor x_middle;
};

Trajectory plain_dpm_2_ancestral(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const auto [down, up] = ancestral_step(sigmas[i], sigmas[i + 1], eta);
    const at::Tensor d = derivative(x, sigmas[i], denoised);
    if (down == 0) {
      x = x + d * (down - sigmas[i]);
    } else {
      const Midpoint half(x, d, sigmas[i], down);
      const at::Tensor denoised_2 = co_await denoise(context, half.x_middle, half.middle);
      const at::Tensor d_2 = derivative(half.x_middle, half.middle, denoised_2);
      x = x + d_2 * (down - sigmas[i]) + context.noise.next() * (s_noise * up);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

Trajectory flow_dpm_2_ancestral(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const auto [down, scale, renoise] = flow_ancestral_step(sigmas[i], sigmas[i + 1], eta);
    const at::Tensor d = derivative(x, sigmas[i], denoised);
    if (down == 0) {
      x = x + d * (down - sigmas[i]);
    } else {
      const Midpoint half(x, d, sigmas[i], down);
      const at::Tensor denoised_2 = co_await denoise(context, half.x_middle, half.middle);
      const at::Tensor d_2 = derivative(half.x_middle, half.middle, denoised_2);
      x = scale * (x + d_2 * (down - sigmas[i])) + context.noise.next() * (s_noise * renoise);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace

/// k-diffusion's DPM-Solver-2 with the churn of Karras et al. 2022.
Trajectory sample_dpm_2(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const float sigma = churn(context, i, x);
    const float sigma_next = sigmas[i + 1];
    const at::Tensor denoised = co_await denoise(context, x, sigma);
    const at::Tensor d = derivative(x, sigma, denoised);
    if (sigma_next == 0) {
      x = x + d * (sigma_next - sigma);
    } else {
      const Midpoint half(x, d, sigma, sigma_next);
      const at::Tensor denoised_2 = co_await denoise(context, half.x_middle, half.middle);
      x = x + derivative(half.x_middle, half.middle, denoised_2) * (sigma_next - sigma);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

Trajectory sample_dpm_2_ancestral(SamplerContext& context, at::Tensor x) {
  return context.model.is_flow() ? flow_dpm_2_ancestral(context, std::move(x))
                                 : plain_dpm_2_ancestral(context, std::move(x));
}

}  // namespace luna::worker
