#include "daemon/worker/sampling/step_maths.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "daemon/worker/sampling/denoise.h"

namespace luna::worker {

AncestralStep ancestral_step(float from, float to, double eta) {
  if (eta == 0) return {to, 0.0F};
  const float full = std::sqrt(to * to * (from * from - to * to) / (from * from));
  const float up = std::min(to, static_cast<float>(eta) * full);
  return {std::sqrt(to * to - up * up), up};
}

FlowAncestralStep flow_ancestral_step(float from, float to, double eta) {
  const float down = to * (1.0F + (to / from - 1.0F) * static_cast<float>(eta));
  const float alpha_to = 1.0F - to;
  const float alpha_down = 1.0F - down;
  const float kept = down * down * (alpha_to * alpha_to) / (alpha_down * alpha_down);
  return {down, alpha_to / alpha_down, std::sqrt(to * to - kept)};
}

float exp_of(float x) { return at::scalar_tensor(x, at::kFloat).exp_().item<float>(); }

float half_log_snr(float sigma, const ModelSampling& model) {
  const at::Tensor scalar = at::scalar_tensor(sigma, at::kFloat);
  return -(model.is_flow() ? scalar.logit() : scalar.log()).item<float>();
}

float sigma_of_half_log_snr(float lambda, const ModelSampling& model) {
  return model.is_flow() ? at::scalar_tensor(-lambda, at::kFloat).sigmoid().item<float>()
                         : exp_of(-lambda);
}

std::vector<float> sigmas_for_snr(const SamplerContext& context) {
  constexpr double kFirstPercent = 1e-4;
  std::vector<float> sigmas = context.sigmas;
  if (sigmas.size() > 1 && context.model.is_flow() && sigmas.front() >= 1.0F) {
    sigmas.front() = static_cast<float>(context.model.percent_to_sigma(kFirstPercent));
  }
  return sigmas;
}

float geometric_mean(float a, float b) {
  const float log_a = std::log(a);
  const float log_b = std::log(b);
  return std::exp(log_b - (log_b - log_a) * 0.5F);
}

float churn_sigma(const SamplerContext& context, std::size_t index) {
  const float sigma = context.sigmas[index];
  const double s_churn = option(context, "s_churn", 0);
  const double s_tmin = option(context, "s_tmin", 0);
  const double s_tmax = option(context, "s_tmax", std::numeric_limits<double>::infinity());
  if (s_churn <= 0 || sigma < static_cast<float>(s_tmin) || sigma > static_cast<float>(s_tmax)) {
    return sigma;
  }
  const double steps = static_cast<double>(context.sigmas.size() - 1);
  const double gamma = std::min(s_churn / steps, std::sqrt(2.0) - 1);
  return sigma * static_cast<float>(gamma + 1);
}

at::Tensor churned(const SamplerContext& context, const at::Tensor& x, const at::Tensor& noise,
                   float sigma, float raised) {
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  return x + noise * s_noise * std::sqrt(raised * raised - sigma * sigma);
}

float churn(SamplerContext& context, std::size_t index, at::Tensor& x) {
  const float sigma = context.sigmas[index];
  const float raised = churn_sigma(context, index);
  if (raised > sigma) x = churned(context, x, context.noise.churn(), sigma, raised);
  return raised;
}

}  // namespace luna::worker
