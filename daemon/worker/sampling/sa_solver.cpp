#include <algorithm>
#include <cmath>
#include <deque>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

/// (1 + tau^2) times the integrals of exp((1 + tau^2) (u - to)) u^p over [from, to], p =
/// 0..order-1, by parts: f32 [order].
at::Tensor exponential_integrals(float from, float to, std::int64_t order, double tau) {
  const double rate = 1 + tau * tau;
  const at::Tensor p = at::arange(order, at::kFloat);
  const float decay = exp_of(static_cast<float>(-rate) * (to - from));
  const at::Tensor ends = at::scalar_tensor(to).pow(p) - at::scalar_tensor(from).pow(p) * decay;
  // Row p, column q: how often integration by parts from power p meets power q, p! / q! /
  // rate^(p-q) with a sign that alternates.
  const at::Tensor depth = p.unsqueeze(1) - p.unsqueeze(0);
  const at::Tensor log_factorial = (p + 1).lgamma();
  at::Tensor weights = log_factorial.unsqueeze(1) - log_factorial.unsqueeze(0);
  if (tau > 0) weights = weights - depth * std::log(rate);
  const at::Tensor signs = 1 - 2 * depth.remainder(2);
  return at::matmul((weights.exp() * signs).tril(), ends);
}

struct Step {
  std::vector<float> lambdas;  ///< of the predictions that it uses, oldest first
  float from;                  ///< half log SNR, as `to`
  float to;
  float sigma;  ///< at `to`
  double tau;
};

/// The share of each prediction in a stochastic Adams step (equations 15 and 18 of the paper).
at::Tensor adams_shares(const Step& step) {
  const auto order = static_cast<std::int64_t>(step.lambdas.size());
  const at::Tensor integrals = exponential_integrals(step.from, step.to, order, step.tau);
  const at::Tensor powers = at::vander(at::tensor(step.lambdas, at::kFloat), order, true).t();
  return step.sigma * exp_of(step.to) * at::linalg_solve(powers, integrals);
}

/// The paper's simpler step of order 2 (appendix D).
at::Tensor simple_shares(const Step& step, bool corrects) {
  const auto rate = static_cast<float>(1 + step.tau * step.tau);
  const float h = step.to - step.from;
  const float alpha = step.sigma * exp_of(step.to);
  const float both = alpha * -std::expm1(-h * rate);
  if (corrects) {
    const float newest = alpha * (0.5F * rate * h);
    return at::tensor({both - newest, newest}, at::kFloat);
  }
  const float older = alpha * (0.5F * rate * (h * h)) / (step.lambdas[0] - step.from);
  return at::tensor({older, both - older}, at::kFloat);
}

at::Tensor weighted_sum(const std::deque<at::Tensor>& predictions, const at::Tensor& shares) {
  const auto count = static_cast<std::size_t>(shares.numel());
  const float* share = shares.const_data_ptr<float>();
  const std::size_t first = predictions.size() - count;
  at::Tensor sum = predictions[first] * share[0];
  for (std::size_t k = 1; k < count; ++k) sum = sum + predictions[first + k] * share[k];
  return sum;
}

/// Which part of the schedule is stochastic.
class Tau {
 public:
  explicit Tau(const SamplerContext& context)
      : start_(context.model.percent_to_sigma(option(context, "sde_start_percent", 0.2))),
        end_(context.model.percent_to_sigma(option(context, "sde_end_percent", 0.8))),
        eta_(option(context, "eta", 1)) {}
  double at(float sigma) const { return start_ >= sigma && sigma >= end_ ? eta_ : 0; }

 private:
  double start_;
  double end_;
  double eta_;
};

/// SA-Solver (Xue et al., arXiv 2309.05019), data prediction: predicts each state by an Adams step,
/// evaluates there, corrects. `evaluates_twice`: the corrected state is evaluated too (PECE).
Trajectory sa_solver(SamplerContext& context, at::Tensor x, bool evaluates_twice) {
  const auto sigmas = sigmas_for_snr(context);
  const auto predictor = static_cast<std::size_t>(option(context, "predictor_order", 3));
  const auto corrector = static_cast<std::size_t>(option(context, "corrector_order", 4));
  const bool simple = option(context, "simple_order_2", 0) != 0;
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  const bool ends_clean = !sigmas.empty() && sigmas.back() == 0;
  const Tau tau_at(context);
  std::vector<float> lambdas;
  for (const float sigma : sigmas) lambdas.push_back(half_log_snr(sigma, context.model));
  const auto shares_of = [&](const Step& step, bool corrects) {
    return simple && step.lambdas.size() == 2 ? simple_shares(step, corrects) : adams_shares(step);
  };
  const auto latest_lambdas = [&](std::size_t i, std::size_t count) {
    const auto end = lambdas.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    return std::vector<float>(end - static_cast<std::ptrdiff_t>(count), end);
  };

  std::deque<at::Tensor> predictions;  // oldest first
  at::Tensor predicted = x;
  at::Tensor noise;
  double tau = 0;
  float h = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    at::Tensor denoised = co_await denoise(context, predicted, sigmas[i]);
    predictions.push_back(denoised);
    if (predictions.size() > std::max(predictor, corrector)) predictions.pop_front();
    const bool last = sigmas[i + 1] == 0;
    std::size_t correct_by = std::min(corrector, predictions.size());
    std::size_t predict_by = std::min(predictor, predictions.size());
    if (i == 0 || (last && !evaluates_twice)) correct_by = 0;
    if (ends_clean) {
      predict_by = std::min(predict_by, sigmas.size() - 2 - i);
      correct_by = std::min(correct_by, sigmas.size() - 1 - i);
    }

    if (correct_by == 0) {
      x = predicted;
    } else {
      const Step step{latest_lambdas(i, correct_by), lambdas[i - 1], lambdas[i], sigmas[i], tau};
      const float keep = sigmas[i] / sigmas[i - 1] * exp_of(static_cast<float>(-(tau * tau)) * h);
      x = keep * x + weighted_sum(predictions, shares_of(step, true));
      if (tau > 0 && s_noise > 0) x = x + noise;
      if (evaluates_twice) {
        denoised = co_await denoise(context, x, sigmas[i]);
        predictions.back() = denoised;
      }
    }

    if (last) {
      predicted = denoised;
    } else {
      tau = tau_at.at(sigmas[i + 1]);
      const Step step{latest_lambdas(i, predict_by), lambdas[i], lambdas[i + 1], sigmas[i + 1],
                      tau};
      h = lambdas[i + 1] - lambdas[i];
      const float keep = sigmas[i + 1] / sigmas[i] * exp_of(static_cast<float>(-(tau * tau)) * h);
      predicted = keep * x + weighted_sum(predictions, shares_of(step, false));
      if (tau > 0 && s_noise > 0) {
        const float spread = std::sqrt(-std::expm1(static_cast<float>(-2 * (tau * tau)) * h));
        noise = context.noise.next() * sigmas[i + 1] * spread * s_noise;
        predicted = predicted + noise;
      }
    }
    finish_step(context, i, predicted, denoised);
  }
  co_return predicted;
}

}  // namespace

Trajectory sample_sa_solver(SamplerContext& context, at::Tensor x) {
  return sa_solver(context, std::move(x), false);
}

Trajectory sample_sa_solver_pece(SamplerContext& context, at::Tensor x) {
  return sa_solver(context, std::move(x), true);
}

}  // namespace luna::worker
