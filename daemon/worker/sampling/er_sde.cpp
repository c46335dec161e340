#include <algorithm>
#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

constexpr int kIntegrationPoints = 200;
enum class Process { kExtendedReverseTime = 0, kReverseTime = 1, kOde = 2 };

/// phi of the paper, which says how much noise each lambda = sigma / alpha takes.
class NoiseScale {
 public:
  NoiseScale(Process process, double eta) : process_(process), eta_(eta) {}

  at::Tensor of(const at::Tensor& lambdas) const {
    if (process_ != Process::kExtendedReverseTime) return lambdas.pow(eta_ + 1);
    return lambdas * (lambdas.pow(0.3).exp() + 10);
  }
  float of(float lambda) const { return of(at::scalar_tensor(lambda)).item<float>(); }

 private:
  Process process_;
  double eta_;
};

}  // namespace

/// Extended reverse-time SDE, up to three stages (Cui et al., arXiv 2309.06169). Option
/// solver_type: 0 the paper's scale of noise, 1 a reverse-time SDE of strength eta, 2 an ODE.
Trajectory sample_er_sde(SamplerContext& context, at::Tensor x) {
  const auto sigmas = sigmas_for_snr(context);
  const auto process = static_cast<Process>(static_cast<int>(option(context, "solver_type", 0)));
  const double eta = process == Process::kOde ? 0 : option(context, "eta", 1);
  const bool deterministic = process != Process::kExtendedReverseTime && eta == 0;
  const auto s_noise = deterministic ? 0.0F : static_cast<float>(option(context, "s_noise", 1));
  const auto max_stage = static_cast<std::size_t>(option(context, "max_stage", 3));
  const NoiseScale scale(process, eta);
  const at::Tensor points = at::arange(kIntegrationPoints, at::kFloat);
  std::vector<float> lambdas;
  for (const float sigma : sigmas) lambdas.push_back(std::exp(-half_log_snr(sigma, context.model)));

  at::Tensor old_denoised;
  at::Tensor old_slope;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    const std::size_t stage = std::min(max_stage, i + 1);
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const float lambda_s = lambdas[i];
      const float lambda_t = lambdas[i + 1];
      const float alpha_s = sigmas[i] / lambda_s;
      const float alpha_t = sigmas[i + 1] / lambda_t;
      const float scale_t = scale.of(lambda_t);
      const float r = scale_t / scale.of(lambda_s);
      x = alpha_t / alpha_s * r * x + alpha_t * (1 - r) * denoised;
      if (stage >= 2) {
        const float dt = lambda_t - lambda_s;
        const float width = -dt / kIntegrationPoints;
        const at::Tensor at_points = lambda_t + points * width;
        const at::Tensor scaled = scale.of(at_points);
        const float s = (1 / scaled).sum().item<float>() * width;
        const at::Tensor slope = (denoised - old_denoised) / (lambda_s - lambdas[i - 1]);
        x = x + alpha_t * (dt + s * scale_t) * slope;
        if (stage >= 3) {
          const float s_u = ((at_points - lambda_s) / scaled).sum().item<float>() * width;
          const at::Tensor curve = (slope - old_slope) / ((lambda_s - lambdas[i - 2]) / 2);
          x = x + alpha_t * (dt * dt / 2 + s_u * scale_t) * curve;
        }
        old_slope = slope;
      }
      if (s_noise > 0) {
        const float variance = lambda_t * lambda_t - lambda_s * lambda_s * (r * r);
        const float spread = variance > 0 ? std::sqrt(variance) : 0;
        x = x + alpha_t * context.noise.next() * s_noise * spread;
      }
    }
    old_denoised = denoised;
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
