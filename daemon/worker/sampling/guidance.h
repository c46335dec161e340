#pragma once

#include <ATen/ATen.h>

#include "daemon/worker/sampling/model_sampling.h"

namespace luna::worker {

/// What the engine does around an evaluation (comfyui-semantics.md 3.6, 3.7). All tensors f32.

/// Classifier-free guidance: uncond + (cond - uncond) * cfg.
at::Tensor cfg_combine(const at::Tensor& cond, const at::Tensor& uncond, double cfg);

/// True when the negative need not be evaluated, being without weight: cfg is 1 to a relative 1e-9.
bool cfg_ignores_uncond(double cfg);

/// cfg_combine with the spread of the velocity prediction pulled by `share` (0..1) to that of the
/// positive's, row by row (arXiv 2305.08891). `x`: the state at `sigma` that both x0 are of.
/// Reference: comfy_extras/nodes_model_advanced.py: RescaleCFG.
at::Tensor cfg_rescaled(const at::Tensor& cond, const at::Tensor& uncond, const at::Tensor& x,
                        double sigma, double cfg, double share);

/// Each row of x0 clamped to the percentile of its own magnitudes (linear between values).
at::Tensor clamp_to_percentile(const at::Tensor& denoised, double percentile);

/// A mask as [rows, C, h, w] for the latent: bilinear to h x w, repeated over channels and rows
/// (surplus entries are cut off). `mask` is [H, W], [n, H, W] or [n, c, H, W]; 1 is repainted.
at::Tensor latent_mask(const at::Tensor& mask, at::IntArrayRef nchw);

/// Outside of the mask the model sees the known latent, noised to sigma: what goes into an
/// evaluation. `mask` as from latent_mask, `latent` in the model's scale, `noise` the run's initial
/// noise (draws_inpaint_noise_anew names the exception).
at::Tensor inpaint_input(const at::Tensor& x, const at::Tensor& mask, double sigma,
                         const at::Tensor& noise, const at::Tensor& latent,
                         const ModelSampling& model);

/// Outside of the mask x0 is the known latent: what comes out of the guided evaluation.
at::Tensor inpaint_output(const at::Tensor& denoised, const at::Tensor& mask,
                          const at::Tensor& latent);

}  // namespace luna::worker
