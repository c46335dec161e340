#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

enum class Variant { kBh1, kBh2 };

constexpr int kMaxOrder = 3;
constexpr float kLastSigma = 0.001F;  // stands for 0, whose half log SNR is infinite

/// Where a sigma lies on the variance-preserving schedule: state = alpha x0 + sigma noise.
/// In f32 as the reference: near the end its roundings are visible in the result.
struct VpPoint {
  explicit VpPoint(float karras_sigma) : time(karras_sigma) {
    const float log_alpha = 0.5F * std::log(1 / (time * time + 1));
    const float variance = 1 - std::exp(2 * log_alpha);
    alpha = std::exp(log_alpha);
    sigma = std::sqrt(variance);
    lambda = log_alpha - 0.5F * std::log(variance);
  }
  float time;
  float alpha = 0;
  float sigma = 0;
  float lambda = 0;
};

struct Prediction {
  Prediction(VpPoint where, at::Tensor predicted) : point(where), x0(std::move(predicted)) {}
  VpPoint point;
  at::Tensor x0;
};

/// The state as the model expects it, and x0 by way of the noise from what the model gave for that.
at::Tensor model_state(const at::Tensor& x, const VpPoint& point) {
  return x * std::sqrt(point.time * point.time + 1);
}
at::Tensor x0_of(const at::Tensor& x, const VpPoint& point, const at::Tensor& denoised) {
  const at::Tensor noise = (model_state(x, point) - denoised) / point.time;
  return (x - point.sigma * noise) / point.alpha;
}

using Coefficients = std::array<float, kMaxOrder>;

/// Solves sum_j nodes[j]^i rho[j] = b[i], i < order: a Vandermonde system of at most 3 unknowns.
Coefficients solve_vandermonde(const Coefficients& nodes, const Coefficients& b, int order) {
  if (order <= 1) return {b[0]};
  const double n0 = nodes[0];
  const double n1 = nodes[1];
  if (order == 2) {
    const double second = (b[1] - n0 * b[0]) / (n1 - n0);
    return {static_cast<float>(b[0] - second), static_cast<float>(second)};
  }
  const double n2 = nodes[2];
  const auto lagrange = [&](double own, double a, double c) {
    return static_cast<float>((b[2] - (a + c) * b[1] + a * c * b[0]) / ((own - a) * (own - c)));
  };
  return {lagrange(n0, n1, n2), lagrange(n1, n0, n2), lagrange(n2, n0, n1)};
}

/// The coefficients of one multistep update of UniPC-p (arXiv 2302.04867, B(h) form, data
/// prediction).
struct Update {
  Update(const std::deque<Prediction>& history, const VpPoint& to, int step_order, Variant variant)
      : order(step_order) {
    const VpPoint& from = history.back().point;
    const float h = to.lambda - from.lambda;
    Coefficients nodes{};
    for (int i = 1; i < order; ++i) {
      const Prediction& earlier = history[history.size() - 1 - static_cast<std::size_t>(i)];
      const float r = (earlier.point.lambda - from.lambda) / h;
      nodes[static_cast<std::size_t>(i - 1)] = r;
      differences.push_back((earlier.x0 - history.back().x0) / r);
    }
    nodes[static_cast<std::size_t>(order - 1)] = 1;

    const float hh = -h;
    const float h_phi_1 = std::expm1(hh);
    const float b_h = variant == Variant::kBh1 ? hh : h_phi_1;
    Coefficients b{};
    float h_phi_k = h_phi_1 / hh - 1;
    float factorial = 1;
    for (int i = 0; i < order; ++i) {
      b[static_cast<std::size_t>(i)] = h_phi_k * factorial / b_h;
      factorial *= static_cast<float>(i + 2);
      h_phi_k = h_phi_k / hh - 1 / factorial;
    }
    // Orders 1 of the corrector and 2 of the predictor take 1/2, as the paper's simplification.
    corrector = order == 1 ? Coefficients{0.5F} : solve_vandermonde(nodes, b, order);
    predictor = order == 2 ? Coefficients{0.5F} : solve_vandermonde(nodes, b, order - 1);
    decay = to.sigma / from.sigma;
    data_gain = to.alpha * h_phi_1;
    residual_gain = to.alpha * b_h;
  }

  /// The part of the update that needs no derivative: exact for a constant x0.
  at::Tensor base(const at::Tensor& x, const at::Tensor& x0) const {
    return decay * x - data_gain * x0;
  }
  at::Tensor predict(const at::Tensor& base_state) const {
    return order == 1 ? base_state : base_state - residual_gain * combine(predictor);
  }
  at::Tensor correct(const at::Tensor& base_state, const at::Tensor& newest_difference) const {
    at::Tensor residual = corrector[static_cast<std::size_t>(order - 1)] * newest_difference;
    if (order > 1) residual = combine(corrector) + residual;
    return base_state - residual_gain * residual;
  }
  at::Tensor combine(const Coefficients& rho) const {
    at::Tensor sum = rho[0] * differences[0];
    for (std::size_t i = 1; i < differences.size(); ++i) sum = sum + rho[i] * differences[i];
    return sum;
  }

  int order;
  std::vector<at::Tensor> differences;
  Coefficients predictor{};
  Coefficients corrector{};
  float decay = 0;
  float data_gain = 0;
  float residual_gain = 0;
};

/// Predict to each sigma, evaluate there, correct with what came out, and keep that evaluation for
/// the next step; the last sigma is only predicted. The state is variance preserving from start to
/// end.
Trajectory uni_pc(SamplerContext& context, at::Tensor x, Variant variant) {
  auto& sigmas = context.sigmas;
  if (sigmas.size() < 2) co_return x;
  if (sigmas.back() == 0) sigmas.back() = kLastSigma;
  const int steps = static_cast<int>(sigmas.size()) - 1;
  const int max_order = std::min(kMaxOrder, steps - 1);
  std::deque<Prediction> history;

  x = x / std::sqrt(1 + sigmas[0] * sigmas[0]);
  const VpPoint start(sigmas[0]);
  const at::Tensor first = co_await denoise(context, model_state(x, start), start.time);
  history.emplace_back(start, x0_of(x, start, first));
  finish_step(context, 0, x, first);
  for (int step = 1; step <= steps && max_order > 0; ++step) {
    const VpPoint to(sigmas[static_cast<std::size_t>(step)]);
    const int order = step < max_order ? step : std::min(max_order, steps + 1 - step);
    const Update update(history, to, order, variant);
    const at::Tensor base = update.base(x, history.back().x0);
    x = update.predict(base);
    if (step == steps) break;
    const at::Tensor denoised = co_await denoise(context, model_state(x, to), to.time);
    const at::Tensor x0 = x0_of(x, to, denoised);
    x = update.correct(base, x0 - history.back().x0);
    history.emplace_back(to, x0);
    if (history.size() > kMaxOrder) history.pop_front();
    finish_step(context, static_cast<std::size_t>(step), x, denoised);
  }
  co_return x / VpPoint(sigmas.back()).alpha;
}

}  // namespace

/// Lowers a final 0 in context.sigmas to 0.001, as the reference does to the run's list.
Trajectory sample_uni_pc(SamplerContext& context, at::Tensor x) {
  return uni_pc(context, std::move(x), Variant::kBh1);
}

Trajectory sample_uni_pc_bh2(SamplerContext& context, at::Tensor x) {
  return uni_pc(context, std::move(x), Variant::kBh2);
}

}  // namespace luna::worker
