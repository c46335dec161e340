#include <algorithm>
#include <cmath>
#include <deque>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kIntegrationPoints = 10000;

/// The variance-preserving time of a sigma: beta goes linearly from beta_0 to beta_1 so that time
/// 1e-3 has sigma 0.002 and time 1 has sigma 80. In f32, where 1 + 0.002^2 is already rounded.
class VpTime {
 public:
  VpTime() {
    constexpr float kFirstTime = 1e-3F, kSigmaMin = 0.002F, kSigmaMax = 80;
    const float log_min = std::log(kSigmaMin * kSigmaMin + 1);
    const float log_max = std::log(kSigmaMax * kSigmaMax + 1);
    slope_ = 2 * (log_min / kFirstTime - log_max) / static_cast<float>(1e-3 - 1);
    beta_0_ = log_max - 0.5F * slope_;
  }

  at::Tensor of(const std::vector<float>& sigmas) const {
    const at::Tensor sigma = at::tensor(sigmas, at::kFloat);
    return ((beta_0_ * beta_0_ + 2 * slope_ * (sigma.pow(2) + 1).log()).sqrt() - beta_0_) / slope_;
  }

  /// What a derivative contributes a unit of time: -(1/2) d log alpha / dt / sqrt(alpha (1-alpha)).
  at::Tensor integrand(const at::Tensor& times) const {
    const float rise = (slope_ + beta_0_) - beta_0_;
    const at::Tensor alpha = (-0.5 * times.pow(2) * rise - times * beta_0_).exp();
    const at::Tensor log_slope = -(times * rise) - beta_0_;
    return -0.5 * log_slope / (alpha * (1 - alpha)).sqrt();
  }

 private:
  float slope_ = 0;
  float beta_0_ = 0;
};

/// What each of the `order` latest derivatives (newest first) adds in the step from time i: the
/// integrals of their Lagrange polynomials, as the reference's sum over 10,000 points takes them.
std::vector<float> step_weights(const VpTime& vp, const at::Tensor& times, std::int64_t i,
                                std::int64_t order) {
  const float from = times[i].item<float>();
  const float to = times[i + 1].item<float>();
  const at::Tensor taus = at::linspace(from, to, kIntegrationPoints, at::kFloat);
  const float width = (to - from) / kIntegrationPoints;
  const at::Tensor integrand = vp.integrand(taus);
  std::vector<float> weights;
  for (std::int64_t own = 0; own < order; ++own) {
    at::Tensor basis = at::ones_like(taus);
    for (std::int64_t other = 0; other < order; ++other) {
      if (other == own) continue;
      basis = basis * ((taus - times[i - other]) / (times[i - own] - times[i - other]));
    }
    weights.push_back((integrand * basis).sum().item<float>() * width);
  }
  return weights;
}

}  // namespace

/// DEIS with tabulated coefficients in time (Zhang and Chen, arXiv 2204.13902;
/// zju-pi/diff-sampler).
Trajectory sample_deis(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const auto most = static_cast<std::size_t>(option(context, "max_order", 3));
  const VpTime vp;
  const at::Tensor times = vp.of(sigmas);
  std::deque<at::Tensor> derivatives;  // newest first
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    derivatives.push_front(derivative(x, sigmas[i], denoised));
    if (derivatives.size() > most) derivatives.pop_back();
    if (derivatives.size() == 1 || sigmas[i + 1] <= 0) {
      x = x + (sigmas[i + 1] - sigmas[i]) * derivatives[0];
    } else {
      const std::vector<float> weights = step_weights(
          vp, times, static_cast<std::int64_t>(i), static_cast<std::int64_t>(derivatives.size()));
      for (std::size_t k = 0; k < weights.size(); ++k) x = x + weights[k] * derivatives[k];
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
