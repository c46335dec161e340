#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/sampling/model_sampling.h"
#include "daemon/worker/sampling/sampler.h"

namespace luna::worker {

/// Scalars of a step are f32, because ComfyUI keeps sigmas in f32 tensors and every rounding of a
/// step's coefficients happens there; a Python number that meets one is rounded to f32 first.

/// Splits the way from `from` to `to` into a deterministic step to `down` and noise of strength
/// `up` (k-diffusion's ancestral step). eta 0: all deterministic.
struct AncestralStep {
  float down;
  float up;
};
AncestralStep ancestral_step(float from, float to, double eta);

/// The same for rectified flow: after the step to `down` the state is scaled by `scale` and gets
/// noise of strength `renoise`, so that signal and noise fit sigma `to`.
struct FlowAncestralStep {
  float down;
  float scale;
  float renoise;
};
FlowAncestralStep flow_ancestral_step(float from, float to, double eta);

/// libtorch's exponential of a scalar. Its last bit is not always std::exp's; where coefficients
/// come out of an ill-conditioned system (SA-Solver) that bit is a picture.
float exp_of(float x);

/// log(alpha / sigma), libtorch's to the last bit: -log sigma, or log((1 - sigma) / sigma) for flow
/// models.
float half_log_snr(float sigma, const ModelSampling& model);
float sigma_of_half_log_snr(float lambda, const ModelSampling& model);

/// The run's sigmas for samplers that work in half log SNR: a flow model's first sigma of 1, where
/// that is infinite, becomes the sigma at percent 1e-4.
std::vector<float> sigmas_for_snr(const SamplerContext& context);

/// Halfway between two sigmas in log sigma.
float geometric_mean(float a, float b);

/// torch.lerp: it goes from the nearer end, which rounds differently.
inline float lerp(float from, float to, float weight) {
  return weight < 0.5F ? from + weight * (to - from) : to - (to - from) * (1 - weight);
}

/// dx/dsigma of the probability flow at a state (Karras et al. 2022).
inline at::Tensor derivative(const at::Tensor& x, float sigma, const at::Tensor& denoised) {
  return (x - denoised) / sigma;
}

/// Stochastic churn (Karras et al. 2022, algorithm 2): raises the noise of `x` from sigmas[index]
/// to the returned sigma, by options s_churn, s_tmin, s_tmax and s_noise. s_churn 0 leaves both
/// alone.
float churn(SamplerContext& context, std::size_t index, at::Tensor& x);
/// churn()'s two halves: the sigma that it raises to, and the state there.
float churn_sigma(const SamplerContext& context, std::size_t index);
at::Tensor churned(const SamplerContext& context, const at::Tensor& x, const at::Tensor& noise,
                   float sigma, float raised);

}  // namespace luna::worker
