#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

Trajectory plain_dpmpp_2s_ancestral(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const auto [down, up] = ancestral_step(sigmas[i], sigmas[i + 1], eta);
    if (down == 0) {
      x = x + derivative(x, sigmas[i], denoised) * (down - sigmas[i]);
    } else {
      const float t = -std::log(sigmas[i]);
      const float h = -std::log(down) - t;
      const float sigma_s = std::exp(-(t + 0.5F * h));
      const at::Tensor x_2 = sigma_s / sigmas[i] * x - std::expm1(-h * 0.5F) * denoised;
      const at::Tensor denoised_2 = co_await denoise(context, x_2, sigma_s);
      x = down / sigmas[i] * x - std::expm1(-h) * denoised_2;
    }
    if (sigmas[i + 1] > 0) x = x + context.noise.next() * (s_noise * up);
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

Trajectory flow_dpmpp_2s_ancestral(SamplerContext& context, at::Tensor x) {
  constexpr float kSigmaBelowOne = 0.9999F;
  const auto& sigmas = context.sigmas;
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const auto [down, scale, renoise] = flow_ancestral_step(sigmas[i], sigmas[i + 1], eta);
    if (sigmas[i + 1] == 0) {
      x = x + derivative(x, sigmas[i], denoised) * (down - sigmas[i]);
    } else {
      float sigma_s = kSigmaBelowOne;
      if (sigmas[i] != 1) {
        const float t = std::log((1 - sigmas[i]) / sigmas[i]);
        const float h = std::log((1 - down) / down) - t;
        sigma_s = 1 / (std::exp(t + 0.5F * h) + 1);
      }
      const float ratio_s = sigma_s / sigmas[i];
      const at::Tensor x_2 = ratio_s * x + (1 - ratio_s) * denoised;
      const at::Tensor denoised_2 = co_await denoise(context, x_2, sigma_s);
      const float ratio = down / sigmas[i];
      x = ratio * x + (1 - ratio) * denoised_2;
      if (eta > 0) x = scale * x + context.noise.next() * (s_noise * renoise);
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace

/// DPM-Solver++(2S) (arXiv 2211.01095) with ancestral noise.
Trajectory sample_dpmpp_2s_ancestral(SamplerContext& context, at::Tensor x) {
  return context.model.is_flow() ? flow_dpmpp_2s_ancestral(context, std::move(x))
                                 : plain_dpmpp_2s_ancestral(context, std::move(x));
}

/// DPM-Solver++(2M) (arXiv 2211.01095). Works in -log sigma for flow models too, as the reference
/// does.
Trajectory sample_dpmpp_2m(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  at::Tensor old_denoised;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const float t = -std::log(sigmas[i]);
    const float h = -std::log(sigmas[i + 1]) - t;
    at::Tensor direction = denoised;
    if (old_denoised.defined() && sigmas[i + 1] != 0) {
      const float h_last = t + std::log(sigmas[i - 1]);
      const float weight = 1 / (2 * (h_last / h));
      direction = (1 + weight) * denoised - weight * old_denoised;
    }
    x = sigmas[i + 1] / sigmas[i] * x - std::expm1(-h) * direction;
    old_denoised = denoised;
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
