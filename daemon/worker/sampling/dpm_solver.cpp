#include <algorithm>
#include <array>
#include <cmath>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

float time_of(float sigma) { return -std::log(sigma); }
float sigma_at(float t) { return std::exp(-t); }

/// One step of DPM-Solver (Lu et al., arXiv 2206.00927) in t = -log sigma, of order 1, 2 or 3. eps
/// is the noise at the step's start, eps_1 and eps_2 at the states and times that the stages name.
class SingleStep {
 public:
  SingleStep(const at::Tensor& x, float t, float t_next)
      : x_(x), t_(t), h_(t_next - t), sigma_next_(sigma_at(t_next)) {}

  float time(double r) const { return t_ + static_cast<float>(r) * h_; }

  at::Tensor first_order(const at::Tensor& eps) const {
    return x_ - sigma_next_ * std::expm1(h_) * eps;
  }
  at::Tensor stage(double r, const at::Tensor& eps) const {
    return x_ - sigma_at(time(r)) * std::expm1(static_cast<float>(r) * h_) * eps;
  }
  at::Tensor second_order(double r, const at::Tensor& eps, const at::Tensor& eps_1) const {
    const float gain = sigma_next_ / static_cast<float>(2 * r) * std::expm1(h_);
    return first_order(eps) - gain * (eps_1 - eps);
  }
  at::Tensor second_stage(double r_1, double r_2, const at::Tensor& eps,
                          const at::Tensor& eps_1) const {
    const float h_stage = static_cast<float>(r_2) * h_;
    const float gain =
        sigma_at(time(r_2)) * static_cast<float>(r_2 / r_1) * (std::expm1(h_stage) / h_stage - 1);
    return stage(r_2, eps) - gain * (eps_1 - eps);
  }
  at::Tensor third_order(double r_2, const at::Tensor& eps, const at::Tensor& eps_2) const {
    const float gain = sigma_next_ / static_cast<float>(r_2) * (std::expm1(h_) / h_ - 1);
    return first_order(eps) - gain * (eps_2 - eps);
  }

 private:
  const at::Tensor& x_;
  float t_;
  float h_;
  float sigma_next_;
};

constexpr double kR1 = 1.0 / 3;
constexpr double kR2 = 2.0 / 3;

/// The smallest sigma that these solvers go to: they leave out a final 0.
float last_positive(const std::vector<float>& sigmas) {
  return sigmas.back() == 0 ? sigmas[sigmas.size() - 2] : sigmas.back();
}

/// Tells how much of the schedule lies behind a state at `sigma`; these solvers go their own steps.
void report(const SamplerContext& context, float sigma, const at::Tensor& x,
            const at::Tensor& denoised) {
  if (!context.on_step) return;
  constexpr float kRounding = 1e-4F;
  const auto& sigmas = context.sigmas;
  std::size_t passed = 0;
  while (passed + 2 < sigmas.size() && sigmas[passed + 1] >= sigma * (1 - kRounding)) ++passed;
  if (sigma <= last_positive(sigmas) * (1 + kRounding)) passed = sigmas.size() - 2;
  context.on_step(static_cast<int>(passed), x, denoised, sigma);
}

/// Proposes the next width from the errors of the last three steps.
class StepSize {
 public:
  explicit StepSize(const SamplerContext& context, double order)
      : h_(option(context, "h_init", 0.05)), accept_from_(option(context, "accept_safety", 0.81)) {
    const double p = option(context, "pcoeff", 0);
    const double i = option(context, "icoeff", 1);
    const double d = option(context, "dcoeff", 0);
    powers_ = {(p + i + d) / order, -(p + 2 * d) / order, d / order};
  }

  double width() const { return h_; }
  /// Takes the error of a step of width(), says whether it stands, and sets the next width.
  bool accept(double error) {
    constexpr double kNeverZero = 1e-8;
    const double inverse = 1 / (error + kNeverZero);
    if (first_) inverses_.fill(inverse);
    first_ = false;
    inverses_[0] = inverse;
    double factor = 1;
    for (std::size_t k = 0; k < powers_.size(); ++k) factor *= std::pow(inverses_[k], powers_[k]);
    factor = 1 + std::atan(factor - 1);
    h_ *= factor;
    if (!(factor >= accept_from_)) return false;
    inverses_[2] = inverses_[1];
    inverses_[1] = inverses_[0];
    return true;
  }

 private:
  double h_;
  double accept_from_;
  bool first_ = true;
  std::array<double, 3> powers_{};
  std::array<double, 3> inverses_{};
};

}  // namespace

/// DPM-Solver-fast (arXiv 2206.00927, algorithm 3): as many evaluations as the run has steps, in
/// steps of order 3 and a rest, evenly in log sigma.
Trajectory sample_dpm_fast(SamplerContext& context, at::Tensor x) {
  if (context.sigmas.size() < 2) co_return x;
  const std::size_t evaluations = context.sigmas.size() - 1;
  const std::size_t steps = evaluations / 3 + 1;
  std::vector<std::size_t> orders(steps, 3);
  if (evaluations % 3 == 0) {
    orders[steps - 2] = 2;
    orders[steps - 1] = 1;
  } else {
    orders[steps - 1] = evaluations % 3;
  }
  const at::Tensor times =
      at::linspace(time_of(context.sigmas.front()), time_of(last_positive(context.sigmas)),
                   static_cast<std::int64_t>(steps) + 1, at::kFloat);
  const float* t = times.const_data_ptr<float>();
  for (std::size_t i = 0; i < steps; ++i) {
    const SingleStep step(x, t[i], t[i + 1]);
    const at::Tensor denoised = co_await denoise(context, x, sigma_at(t[i]));
    const at::Tensor eps = derivative(x, sigma_at(t[i]), denoised);
    at::Tensor next;
    if (orders[i] == 1) {
      next = step.first_order(eps);
    } else {
      const double r_1 = orders[i] == 2 ? 0.5 : kR1;
      const float sigma_1 = sigma_at(step.time(r_1));
      const at::Tensor u_1 = step.stage(r_1, eps);
      const at::Tensor denoised_1 = co_await denoise(context, u_1, sigma_1);
      const at::Tensor eps_1 = derivative(u_1, sigma_1, denoised_1);
      if (orders[i] == 2) {
        next = step.second_order(r_1, eps, eps_1);
      } else {
        const float sigma_2 = sigma_at(step.time(kR2));
        const at::Tensor u_2 = step.second_stage(kR1, kR2, eps, eps_1);
        const at::Tensor denoised_2 = co_await denoise(context, u_2, sigma_2);
        next = step.third_order(kR2, eps, derivative(u_2, sigma_2, denoised_2));
      }
    }
    x = next;
    report(context, sigma_at(t[i + 1]), x, denoised);
  }
  co_return x;
}

/// DPM-Solver-12 and -23 (arXiv 2206.00927, appendix C): the next lower order estimates a step's
/// error, over all rows of the call together as ComfyUI does over its batch.
Trajectory sample_dpm_adaptive(SamplerContext& context, at::Tensor x) {
  constexpr int kMostSteps = 10000;
  if (context.sigmas.size() < 2) co_return x;
  const bool third = option(context, "order", 3) == 3;
  const double rtol = option(context, "rtol", 0.05);
  const double atol = option(context, "atol", 0.0078);
  const double eta = option(context, "eta", 0);
  const auto s_noise = static_cast<float>(option(context, "s_noise", 1));
  StepSize size(context, eta > 0 ? 1.5 : third ? 3 : 2);
  const float t_end = time_of(last_positive(context.sigmas));
  const float reached = t_end - 1e-5F;
  float s = time_of(context.sigmas.front());
  at::Tensor x_low_before = x;
  for (int tries = 0; s < reached; ++tries) {
    const float t = std::min(t_end, s + static_cast<float>(size.width()));
    TORCH_CHECK(tries < kMostSteps && t > s, "dpm_adaptive: its steps became too small (", t - s,
                " in log sigma after ", tries, " tries); rtol or atol is too low for this model");
    float t_down = t;
    float up = 0;
    if (eta > 0) {
      t_down = std::min(t_end, time_of(ancestral_step(sigma_at(s), sigma_at(t), eta).down));
      up = std::sqrt(sigma_at(t) * sigma_at(t) - sigma_at(t_down) * sigma_at(t_down));
    }
    const SingleStep step(x, s, t_down);
    const at::Tensor denoised = co_await denoise(context, x, sigma_at(s));
    const at::Tensor eps = derivative(x, sigma_at(s), denoised);
    const double r_1 = third ? kR1 : 0.5;
    const float sigma_1 = sigma_at(step.time(r_1));
    const at::Tensor u_1 = step.stage(r_1, eps);
    const at::Tensor denoised_1 = co_await denoise(context, u_1, sigma_1);
    const at::Tensor eps_1 = derivative(u_1, sigma_1, denoised_1);
    at::Tensor low = step.first_order(eps);
    at::Tensor high = step.second_order(r_1, eps, eps_1);
    if (third) {
      const float sigma_2 = sigma_at(step.time(kR2));
      const at::Tensor u_2 = step.second_stage(kR1, kR2, eps, eps_1);
      const at::Tensor denoised_2 = co_await denoise(context, u_2, sigma_2);
      low = high;
      high = step.third_order(kR2, eps, derivative(u_2, sigma_2, denoised_2));
    }
    const at::Tensor allowed =
        (rtol * at::maximum(low.abs(), x_low_before.abs())).clamp_min(static_cast<float>(atol));
    const at::Tensor error =
        at::linalg_vector_norm((low - high) / allowed) / std::sqrt(static_cast<double>(x.numel()));
    if (!size.accept(error.item<float>())) continue;
    x_low_before = low;
    x = eta > 0 ? high + up * s_noise * context.noise.next() : high;
    s = t;
    report(context, sigma_at(s), x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
