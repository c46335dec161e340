#include <algorithm>
#include <array>
#include <deque>

#include "daemon/worker/sampling/denoise.h"
#include "daemon/worker/sampling/samplers.h"
#include "daemon/worker/sampling/step_maths.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxOrder = 4;

/// Integral over [t[i], t[i+1]] of the Lagrange basis polynomial that is 1 at t[i-j] and 0 at the
/// other `order` latest points. Gauss-Legendre with two nodes is exact up to degree 3.
double multistep_coefficient(const std::vector<float>& t, std::size_t order, std::size_t i,
                             std::size_t j) {
  constexpr std::array<double, 2> kNodes = {-0.57735026918962576451, 0.57735026918962576451};
  const double centre = (double{t[i]} + t[i + 1]) / 2;
  const double half = (double{t[i + 1]} - t[i]) / 2;
  double sum = 0;
  for (const double node : kNodes) {
    const double tau = centre + half * node;
    double basis = 1;
    for (std::size_t k = 0; k < order; ++k) {
      if (k != j) basis *= (tau - t[i - k]) / (double{t[i - j]} - t[i - k]);
    }
    sum += basis;
  }
  return sum * half;
}

}  // namespace

/// k-diffusion's linear multistep (Adams-Bashforth with variable steps), order 4 or less.
Trajectory sample_lms(SamplerContext& context, at::Tensor x) {
  const auto& sigmas = context.sigmas;
  const auto most = static_cast<std::size_t>(option(context, "order", kMaxOrder));
  std::deque<at::Tensor> derivatives;  // latest first
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const at::Tensor denoised = co_await denoise(context, x, sigmas[i]);
    derivatives.push_front(derivative(x, sigmas[i], denoised));
    if (derivatives.size() > most) derivatives.pop_back();
    if (sigmas[i + 1] == 0) {
      x = denoised;
    } else {
      const std::size_t order = std::min(i + 1, most);
      at::Tensor step = derivatives[0] * multistep_coefficient(sigmas, order, i, 0);
      for (std::size_t j = 1; j < order; ++j) {
        step = step + derivatives[j] * multistep_coefficient(sigmas, order, i, j);
      }
      x = x + step;
    }
    finish_step(context, i, x, denoised);
  }
  co_return x;
}

}  // namespace luna::worker
