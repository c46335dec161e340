#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

/// As churn(), with a draw in every step: the reference draws before it asks whether it needs one.
float churn_every_step(SamplerContext& context, std::size_t index, at::Tensor& x) {
  if (option(context, "s_churn", 0) <= 0) return context.sigmas[index];
  const float raised = churn_sigma(context, index);
  const at::Tensor noise = context.noise.churn();
  if (raised > context.sigmas[index]) x = churned(context, x, noise, context.sigmas[index], raised);
  return raised;
}

}  // namespace

/// Heun++ (Carzit, sd-webui-samplers-scheduler): the slopes here and at the next two sigmas, each
/// weighted by its sigma against the run's first; the last step but one has two, the last one.
Trajectory sample_heunpp2(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const float last = sigmas.empty() ? 0 : sigmas.back();
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const float sigma = churn_every_step(context, i, x);
    const float dt = sigmas[i + 1] - sigma;
    const at::Tensor denoised = co_await denoise(context, x, sigma);
    at::Tensor slope = derivative(x, sigma, denoised);
    if (sigmas[i + 1] != last) {
      const at::Tensor x_2 = x + slope * dt;
      const at::Tensor denoised_2 = co_await denoise(context, x_2, sigmas[i + 1]);
      const at::Tensor slope_2 = derivative(x_2, sigmas[i + 1], denoised_2);
      if (sigmas[i + 2] == last) {
        const float weight_2 = sigmas[i + 1] / (2 * sigmas[0]);
        slope = slope * (1 - weight_2) + slope_2 * weight_2;
      } else {
        const at::Tensor x_3 = x_2 + slope_2 * (sigmas[i + 2] - sigmas[i + 1]);
        const at::Tensor denoised_3 = co_await denoise(context, x_3, sigmas[i + 2]);
        const at::Tensor slope_3 = derivative(x_3, sigmas[i + 2], denoised_3);
        const float weight_2 = sigmas[i + 1] / (3 * sigmas[0]);
        const float weight_3 = sigmas[i + 2] / (3 * sigmas[0]);
        slope = (1 - weight_2 - weight_3) * slope + weight_2 * slope_2 + weight_3 * slope_3;
      }
    }
    x = x + slope * dt;
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
