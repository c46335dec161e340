#include "daemon/worker/sampling/guidance.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace luna::worker {
namespace {

/// The first `count` entries along `dim` of as many repetitions as that takes.
at::Tensor repeated_to(const at::Tensor& tensor, std::int64_t dim, std::int64_t count) {
  const std::int64_t present = tensor.size(dim);
  if (present == count) return tensor;
  std::vector<std::int64_t> repeats(static_cast<std::size_t>(tensor.dim()), 1);
  repeats[static_cast<std::size_t>(dim)] = (count + present - 1) / present;
  return tensor.repeat(repeats).narrow(dim, 0, count);
}

}  // namespace

at::Tensor cfg_combine(const at::Tensor& cond, const at::Tensor& uncond, double cfg) {
  return uncond + (cond - uncond) * cfg;
}

bool cfg_ignores_uncond(double cfg) {
  constexpr double kRelative = 1e-9;
  return std::abs(cfg - 1) <= kRelative * std::max(std::abs(cfg), 1.0);
}

at::Tensor cfg_rescaled(const at::Tensor& cond, const at::Tensor& uncond, const at::Tensor& x,
                        double sigma, double cfg, double share) {
  const auto s = static_cast<float>(sigma);
  const float variance = s * s + 1;
  const at::Tensor kept = x / variance;
  const auto velocity = [&](const at::Tensor& x0) { return (kept - x0) * std::sqrt(variance) / s; };
  const at::Tensor v_cond = velocity(cond);
  const at::Tensor v_cfg = cfg_combine(v_cond, velocity(uncond), cfg);
  constexpr std::array<std::int64_t, 3> whole_row = {1, 2, 3};
  const at::Tensor spread =
      v_cond.std(at::IntArrayRef(whole_row), /*unbiased=*/true, /*keepdim=*/true) /
      v_cfg.std(at::IntArrayRef(whole_row), /*unbiased=*/true, /*keepdim=*/true);
  const at::Tensor v = share * (v_cfg * spread) + (1 - share) * v_cfg;
  return kept - v * s / std::sqrt(variance);
}

at::Tensor clamp_to_percentile(const at::Tensor& denoised, double percentile) {
  const at::Tensor magnitudes = std::get<0>(denoised.flatten(1).abs().sort(1));
  const double place = percentile / 100 * static_cast<double>(magnitudes.size(1) - 1);
  const auto below = static_cast<std::int64_t>(place);
  const std::int64_t above = std::min(below + 1, magnitudes.size(1) - 1);
  const at::Tensor limit = at::lerp(magnitudes.select(1, below), magnitudes.select(1, above),
                                    place - static_cast<double>(below))
                               .view({-1, 1, 1, 1});
  return at::minimum(at::maximum(denoised, -limit), limit);
}

at::Tensor latent_mask(const at::Tensor& mask, at::IntArrayRef nchw) {
  const at::Tensor planes = mask.to(at::kFloat).reshape({-1, 1, mask.size(-2), mask.size(-1)});
  const at::Tensor resized =
      at::upsample_bilinear2d(planes, nchw.slice(2), /*align_corners=*/false);
  return repeated_to(repeated_to(resized, 1, nchw[1]), 0, nchw[0]);
}

at::Tensor inpaint_input(const at::Tensor& x, const at::Tensor& mask, double sigma,
                         const at::Tensor& noise, const at::Tensor& latent,
                         const ModelSampling& model) {
  return x * mask + model.noise_scaling(sigma, noise, latent, false) * (1.0 - mask);
}

at::Tensor inpaint_output(const at::Tensor& denoised, const at::Tensor& mask,
                          const at::Tensor& latent) {
  return denoised * mask + latent * (1.0 - mask);
}

}  // namespace luna::worker
