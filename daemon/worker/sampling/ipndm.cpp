#include <algorithm>
#include <array>
#include <deque>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMostOrder = 4;
using Weights = std::array<float, kMostOrder>;  // of the latest derivatives, newest first; sum 1

/// Adams-Bashforth for equal steps, by order.
Weights equal_steps(std::size_t order) {
  switch (order) {
    case 1:
      return {1};
    case 2:
      return {3.0F / 2, -1.0F / 2};
    case 3:
      return {23.0F / 12, -16.0F / 12, 5.0F / 12};
    default:
      return {55.0F / 24, -59.0F / 24, 37.0F / 24, -9.0F / 24};
  }
}

/// Adams-Bashforth for the steps that were taken, in Newton's form: each order adds its divided
/// difference of the derivatives. Two terms are the reference's own and not the textbook's: the
/// third order's weight subtracts where a product belongs, and the fourth difference scales its
/// oldest derivative by the two newest old steps' ratio.
Weights steps_taken(const std::vector<float>& sigmas, std::size_t i, std::size_t order) {
  if (order == 1) return {1};
  const float h0 = sigmas[i + 1] - sigmas[i];
  const float h1 = sigmas[i] - sigmas[i - 1];
  const float second = h0 / h1 / 2;
  if (order == 2) return {1 + second, -second};

  const float h2 = sigmas[i - 1] - sigmas[i - 2];
  const float ratio_12 = h1 / h2;
  const float third = (1 - h0 / (3 * (h0 + h1)) * (h0 * (h0 + h1)) / (h1 * (h1 + h2))) / 2;
  Weights weights = {1 + second + third, -second - (1 + ratio_12) * third, third * ratio_12};
  if (order == 3) return weights;

  const float h3 = sigmas[i - 2] - sigmas[i - 3];
  const float ratio_23 = h2 / h3;
  const float spread = h1 * (h1 + h2) / (h2 * (h2 + h3));
  const float mean =
      (1 - h0 / (3 * (h0 + h1))) / 2 + (1 - h0 / (2 * (h0 + h1))) * h0 / (6 * (h0 + h1 + h2));
  const float fourth = mean * (h0 * (h0 + h1) * (h0 + h1 + h2)) / (h1 * (h1 + h2) * (h1 + h2 + h3));
  weights[0] += fourth;
  weights[1] -= (1 + ratio_12 + spread) * fourth;
  weights[2] += (ratio_12 + spread * (1 + ratio_23)) * fourth;
  weights[3] = -fourth * spread * ratio_12;
  return weights;
}

enum class Steps { kEqual, kTaken };

Trajectory ipndm(SamplerContext& context, at::Tensor x, Steps steps) {
  const auto& sigmas = context.sigmas;
  const auto most = static_cast<std::size_t>(option(context, "max_order", kMostOrder));
  std::deque<at::Tensor> derivatives;  // newest first
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    derivatives.push_front(derivative(x, sigmas[i], denoised));
    if (derivatives.size() > most) derivatives.pop_back();
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const std::size_t order = derivatives.size();
      const Weights weights =
          steps == Steps::kEqual ? equal_steps(order) : steps_taken(sigmas, i, order);
      at::Tensor slope = weights[0] * derivatives[0];
      for (std::size_t k = 1; k < order; ++k) slope = slope + weights[k] * derivatives[k];
      x = x + (sigmas[i + 1] - sigmas[i]) * slope;
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace

/// Improved PNDM (Zhang and Chen, arXiv 2204.13902): Adams-Bashforth up to order 4 as if all steps
/// were equal.
Trajectory sample_ipndm(SamplerContext& context, at::Tensor x) {
  return ipndm(context, std::move(x), Steps::kEqual);
}

/// The same with the steps' true widths (zju-pi/diff-sampler).
Trajectory sample_ipndm_v(SamplerContext& context, at::Tensor x) {
  return ipndm(context, std::move(x), Steps::kTaken);
}

}  // namespace luna::worker
