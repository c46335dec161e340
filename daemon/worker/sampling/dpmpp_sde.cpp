#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

enum class SolverType { kMidpoint, kHeun };
/// Where the Brownian path is drawn: on the host, or on the run's device, whose generator gives
/// other values there.
enum class Path { kHost, kDevice };

at::Tensor increment(SamplerContext& context, Path path, float sigma, float sigma_next) {
  return path == Path::kHost ? context.noise.between(sigma, sigma_next)
                             : context.noise.between_on_device(sigma, sigma_next);
}

SolverType solver_type(const SamplerContext& context, SolverType fallback) {
  const double chosen = option(context, "solver_type", fallback == SolverType::kHeun ? 1 : 0);
  return chosen == 1 ? SolverType::kHeun : SolverType::kMidpoint;
}

/// DPM-Solver++(2M) as an SDE (k-diffusion).
Trajectory dpmpp_2m_sde(SamplerContext& context, at::Tensor x, SolverType solver_type, Path path) {
  const auto sigmas = sigmas_for_snr(context);
  const double eta = option(context, "eta", 1);
  const double s_noise = option(context, "s_noise", 1);
  at::Tensor old_denoised;
  float h_last = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const float lambda_t = half_log_snr(sigmas[i + 1], context.model);
      const float h = lambda_t - half_log_snr(sigmas[i], context.model);
      const float h_eta = h * static_cast<float>(eta + 1);
      const float alpha_t = sigmas[i + 1] * std::exp(lambda_t);
      const float decay = std::exp(-h * static_cast<float>(eta));
      const float gain = -std::expm1(-h_eta);
      x = sigmas[i + 1] / sigmas[i] * decay * x + alpha_t * gain * denoised;
      if (old_denoised.defined()) {
        const float r = h_last / h;
        const float correction = solver_type == SolverType::kHeun
                                     ? alpha_t * (gain / -h_eta + 1) * (1 / r)
                                     : 0.5F * alpha_t * gain * (1 / r);
        x = x + correction * (denoised - old_denoised);
      }
      if (eta > 0 && s_noise > 0) {
        const float spread = std::sqrt(-std::expm1(-2.0F * h * static_cast<float>(eta)));
        x = x + increment(context, path, sigmas[i], sigmas[i + 1]) *
                    (sigmas[i + 1] * spread * static_cast<float>(s_noise));
      }
      h_last = h;
    }
    old_denoised = denoised;
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

/// DPM-Solver++ as an SDE (k-diffusion): two evaluations a step, the middle one at fraction `r` of
/// the step in half log SNR, each with its own increment of one Brownian path.
Trajectory dpmpp_sde(SamplerContext& context, at::Tensor x, Path path) {
  const auto sigmas = sigmas_for_snr(context);
  const double eta = option(context, "eta", 1);
  const double s_noise = option(context, "s_noise", 1);
  const double r = option(context, "r", 0.5);
  const double weight = 1 / (2 * r);
  const bool noisy = eta > 0 && s_noise > 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const float lambda_s = half_log_snr(sigmas[i], context.model);
      const float lambda_t = half_log_snr(sigmas[i + 1], context.model);
      const float lambda_mid = lambda_s + static_cast<float>(r) * (lambda_t - lambda_s);
      const float sigma_mid = sigma_of_half_log_snr(lambda_mid, context.model);
      const float alpha_s = sigmas[i] * std::exp(lambda_s);
      const float alpha_mid = sigma_mid * std::exp(lambda_mid);
      const float alpha_t = sigmas[i + 1] * std::exp(lambda_t);

      const AncestralStep to_mid = ancestral_step(std::exp(-lambda_s), std::exp(-lambda_mid), eta);
      const float h_mid = -std::log(to_mid.down) - lambda_s;
      at::Tensor x_2 =
          alpha_mid / alpha_s * std::exp(-h_mid) * x - alpha_mid * std::expm1(-h_mid) * denoised;
      if (noisy) {
        x_2 = x_2 + increment(context, path, sigmas[i], sigma_mid) *
                        (alpha_mid * static_cast<float>(s_noise) * to_mid.up);
      }
      const at::Tensor denoised_2 = co_await denoise(context, x_2, sigma_mid);

      const AncestralStep to_next = ancestral_step(std::exp(-lambda_s), std::exp(-lambda_t), eta);
      const float h = -std::log(to_next.down) - lambda_s;
      const at::Tensor direction = (1 - weight) * denoised + weight * denoised_2;
      x = alpha_t / alpha_s * std::exp(-h) * x - alpha_t * std::expm1(-h) * direction;
      if (noisy) {
        x = x + increment(context, path, sigmas[i], sigmas[i + 1]) *
                    (alpha_t * static_cast<float>(s_noise) * to_next.up);
      }
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

/// DPM-Solver++(3M) as an SDE (k-diffusion): divided differences of the last three predictions.
Trajectory dpmpp_3m_sde(SamplerContext& context, at::Tensor x, Path path) {
  const auto sigmas = sigmas_for_snr(context);
  const double eta = option(context, "eta", 1);
  const double s_noise = option(context, "s_noise", 1);
  at::Tensor denoised_1;
  at::Tensor denoised_2;
  float h_1 = 0;
  float h_2 = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    float h = 0;
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const float lambda_t = half_log_snr(sigmas[i + 1], context.model);
      h = lambda_t - half_log_snr(sigmas[i], context.model);
      const float h_eta = h * static_cast<float>(eta + 1);
      const float alpha_t = sigmas[i + 1] * std::exp(lambda_t);
      const float decay = std::exp(-h * static_cast<float>(eta));
      const float phi_2 = std::expm1(-h_eta) / h_eta + 1;
      x = sigmas[i + 1] / sigmas[i] * decay * x + alpha_t * -std::expm1(-h_eta) * denoised;
      if (denoised_2.defined()) {
        const float r0 = h_1 / h;
        const float r1 = h_2 / h;
        const float phi_3 = phi_2 / h_eta - 0.5F;
        const at::Tensor d1_0 = (denoised - denoised_1) / r0;
        const at::Tensor d1_1 = (denoised_1 - denoised_2) / r1;
        const at::Tensor d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1);
        const at::Tensor d2 = (d1_0 - d1_1) / (r0 + r1);
        x = x + alpha_t * phi_2 * d1 - alpha_t * phi_3 * d2;
      } else if (denoised_1.defined()) {
        x = x + alpha_t * phi_2 * ((denoised - denoised_1) / (h_1 / h));
      }
      if (eta > 0 && s_noise > 0) {
        const float spread = std::sqrt(-std::expm1(-2.0F * h * static_cast<float>(eta)));
        x = x + increment(context, path, sigmas[i], sigmas[i + 1]) *
                    (sigmas[i + 1] * spread * static_cast<float>(s_noise));
      }
    }
    denoised_2 = denoised_1;
    denoised_1 = denoised;
    h_2 = h_1;
    h_1 = h;
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace

Trajectory sample_dpmpp_sde(SamplerContext& context, at::Tensor x) {
  return dpmpp_sde(context, std::move(x), Path::kHost);
}

Trajectory sample_dpmpp_sde_gpu(SamplerContext& context, at::Tensor x) {
  return dpmpp_sde(context, std::move(x), Path::kDevice);
}

/// Option solver_type of the four: 0 midpoint, 1 heun.
Trajectory sample_dpmpp_2m_sde(SamplerContext& context, at::Tensor x) {
  return dpmpp_2m_sde(context, std::move(x), solver_type(context, SolverType::kMidpoint),
                      Path::kHost);
}

Trajectory sample_dpmpp_2m_sde_gpu(SamplerContext& context, at::Tensor x) {
  return dpmpp_2m_sde(context, std::move(x), solver_type(context, SolverType::kMidpoint),
                      Path::kDevice);
}

Trajectory sample_dpmpp_2m_sde_heun(SamplerContext& context, at::Tensor x) {
  return dpmpp_2m_sde(context, std::move(x), solver_type(context, SolverType::kHeun), Path::kHost);
}

Trajectory sample_dpmpp_2m_sde_heun_gpu(SamplerContext& context, at::Tensor x) {
  return dpmpp_2m_sde(context, std::move(x), solver_type(context, SolverType::kHeun),
                      Path::kDevice);
}

Trajectory sample_dpmpp_3m_sde(SamplerContext& context, at::Tensor x) {
  return dpmpp_3m_sde(context, std::move(x), Path::kHost);
}

Trajectory sample_dpmpp_3m_sde_gpu(SamplerContext& context, at::Tensor x) {
  return dpmpp_3m_sde(context, std::move(x), Path::kDevice);
}

}  // namespace luna::worker
