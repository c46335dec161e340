#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

/// h phi_1(h) and h phi_2(h) of exponential integrators.
float h_phi_1(float h) { return std::expm1(h); }
float h_phi_2(float h) { return (std::expm1(h) - h) / h; }

/// One step in half log SNR from `sigma` to `to`, with stages on the way.
struct Span {
  Span(float sigma, float to, double eta, const ModelSampling& model)
      : model(model),
        sigma(sigma),
        eta(static_cast<float>(eta)),
        lambda(half_log_snr(sigma, model)),
        h(half_log_snr(to, model) - lambda),
        h_eta(h * static_cast<float>(eta + 1)),
        lambda_to(half_log_snr(to, model)) {}

  /// A state at fraction r: how much of x, and the signal's share.
  struct Stage {
    float sigma;
    float keep;
    float alpha;
  };
  Stage stage(double r) const {
    const float lambda_stage = lerp(lambda, lambda_to, static_cast<float>(r));
    const float sigma_stage = sigma_of_half_log_snr(lambda_stage, model);
    return {sigma_stage, sigma_stage / sigma * std::exp(static_cast<float>(-r) * h * eta),
            sigma_stage * std::exp(lambda_stage)};
  }
  Stage end(float to) const {
    return {to, to / sigma * std::exp(-h * eta), to * std::exp(lambda_to)};
  }

  const ModelSampling& model;
  float sigma;
  float eta;
  float lambda;
  float h;
  float h_eta;
  float lambda_to;
};

/// The noise of an SDE over the stages of one step: what came before decays, new is drawn.
class StagedNoise {
 public:
  StagedNoise(SamplerContext& context, const Span& span) : context_(context), span_(span) {}

  /// From fraction `from` of the step to `to`.
  const at::Tensor& advance(double from, double to) {
    const float segment = static_cast<float>(from - to) * span_.h * span_.eta;
    const at::Tensor drawn = std::sqrt(-std::expm1(segment * 2)) * context_.noise.next();
    sum_ = sum_.defined() ? sum_ * std::exp(segment) + drawn : drawn;
    return sum_;
  }

 private:
  SamplerContext& context_;
  const Span& span_;
  at::Tensor sum_;
};

enum class Solver { kPhi1 = 0, kPhi2 = 1 };

struct Seeds2 {
  double r = 0.5;
  double eta = 1;
  double s_noise = 1;
  Solver solver = Solver::kPhi1;
};

Trajectory seeds_2(SamplerContext& context, at::Tensor x, Seeds2 form) {
  const auto sigmas = sigmas_for_snr(context);
  const bool noisy = form.eta > 0 && form.s_noise > 0;
  const auto r = static_cast<float>(form.r);
  const auto s_noise = static_cast<float>(form.s_noise);
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const Span span(sigmas[i], sigmas[i + 1], form.eta, context.model);
      const Span::Stage middle = span.stage(form.r);
      const Span::Stage end = span.end(sigmas[i + 1]);
      StagedNoise noise(context, span);
      at::Tensor x_2 = middle.keep * x - middle.alpha * h_phi_1(-r * span.h_eta) * denoised;
      if (noisy) x_2 = x_2 + noise.advance(0, form.r) * middle.sigma * s_noise;
      const at::Tensor denoised_2 = co_await denoise(context, x_2, middle.sigma);
      if (form.solver == Solver::kPhi1) {
        const at::Tensor direction = at::lerp(denoised, denoised_2, 1 / (2 * form.r));
        x = end.keep * x - end.alpha * h_phi_1(-span.h_eta) * direction;
      } else {
        const float b2 = h_phi_2(-span.h_eta) / r;
        const float b1 = h_phi_1(-span.h_eta) - b2;
        x = end.keep * x - end.alpha * (b1 * denoised + b2 * denoised_2);
      }
      if (noisy) x = x + noise.advance(form.r, 1) * end.sigma * s_noise;
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

Solver solver_of(const SamplerContext& context, Solver fallback) {
  return static_cast<Solver>(
      static_cast<int>(option(context, "solver_type", static_cast<double>(fallback))));
}

}  // namespace

/// SEEDS of two stages, data prediction (Gonzalez et al., arXiv 2305.14267). Option solver_type: 0
/// weights by phi_1, 1 by phi_2.
Trajectory sample_seeds_2(SamplerContext& context, at::Tensor x) {
  return seeds_2(context, std::move(x),
                 {option(context, "r", 0.5), option(context, "eta", 1),
                  option(context, "s_noise", 1), solver_of(context, Solver::kPhi1)});
}

/// Heun's method as an exponential integrator: SEEDS-2 with the second stage at the step's end.
Trajectory sample_exp_heun_2_x0(SamplerContext& context, at::Tensor x) {
  return seeds_2(context, std::move(x), {1, 0, 0, solver_of(context, Solver::kPhi2)});
}

Trajectory sample_exp_heun_2_x0_sde(SamplerContext& context, at::Tensor x) {
  return seeds_2(context, std::move(x),
                 {1, option(context, "eta", 1), option(context, "s_noise", 1),
                  solver_of(context, Solver::kPhi2)});
}

/// SEEDS of three stages, at options r_1 and r_2 of each step.
Trajectory sample_seeds_3(SamplerContext& context, at::Tensor x) {
  const auto sigmas = sigmas_for_snr(context);
  const double eta = option(context, "eta", 1);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  const double r_1 = option(context, "r_1", 1.0 / 3);
  const double r_2 = option(context, "r_2", 2.0 / 3);
  const bool noisy = eta > 0 && s_noise > 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const Span span(sigmas[i], sigmas[i + 1], eta, context.model);
      const Span::Stage first = span.stage(r_1);
      const Span::Stage second = span.stage(r_2);
      const Span::Stage end = span.end(sigmas[i + 1]);
      StagedNoise noise(context, span);
      at::Tensor x_2 =
          first.keep * x - first.alpha * h_phi_1(static_cast<float>(-r_1) * span.h_eta) * denoised;
      if (noisy) x_2 = x_2 + noise.advance(0, r_1) * first.sigma * s_noise;
      const at::Tensor denoised_2 = co_await denoise(context, x_2, first.sigma);

      const float to_second = static_cast<float>(-r_2) * span.h_eta;
      const float a2 = static_cast<float>(r_2 / r_1) * h_phi_2(to_second);
      const float a1 = h_phi_1(to_second) - a2;
      at::Tensor x_3 = second.keep * x - second.alpha * (a1 * denoised + a2 * denoised_2);
      if (noisy) x_3 = x_3 + noise.advance(r_1, r_2) * second.sigma * s_noise;
      const at::Tensor denoised_3 = co_await denoise(context, x_3, second.sigma);

      const float b3 = h_phi_2(-span.h_eta) / static_cast<float>(r_2);
      const float b1 = h_phi_1(-span.h_eta) - b3;
      x = end.keep * x - end.alpha * (b1 * denoised + b3 * denoised_3);
      if (noisy) x = x + noise.advance(r_2, 1) * end.sigma * s_noise;
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
