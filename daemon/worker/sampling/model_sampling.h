#pragma once

#include <memory>
#include <vector>

#include <ATen/ATen.h>

namespace luna::worker {

/// The noise process a model was trained on: its table of sigmas and how prediction, state and x0
/// relate (comfyui-semantics.md 3.4; reference: comfy/model_sampling.py). All maths in f32 as
/// there.
class ModelSampling {
 public:
  virtual ~ModelSampling() = default;

  /// Ascending table, f32.
  virtual const std::vector<float>& sigmas() const = 0;
  double sigma_min() const { return sigmas().front(); }
  double sigma_max() const { return sigmas().back(); }
  /// The number fed to the network for a sigma.
  virtual double timestep(double sigma) const = 0;
  virtual double sigma(double timestep) const = 0;
  /// percent 0 is the start (largest sigma), 1 the end.
  virtual double percent_to_sigma(double percent) const = 0;
  /// True for rectified-flow models (CONST): sigma in 0..1, state = (1-sigma) x0 + sigma noise.
  virtual bool is_flow() const = 0;

  /// State to network input; sigma [n] broadcast over x [n,C,h,w].
  virtual at::Tensor calculate_input(const at::Tensor& sigma, const at::Tensor& x) const = 0;
  virtual at::Tensor calculate_denoised(const at::Tensor& sigma, const at::Tensor& output,
                                        const at::Tensor& x) const = 0;
  /// The state at `sigma` of a clean latent; max_denoise: sigma is the schedule's start at full
  /// strength.
  virtual at::Tensor noise_scaling(double sigma, const at::Tensor& noise, const at::Tensor& latent,
                                   bool max_denoise) const = 0;
  virtual at::Tensor inverse_noise_scaling(double sigma, const at::Tensor& latent) const = 0;
};

/// Scaled-linear betas sqrt(0.00085)..sqrt(0.012), 1000 steps, epsilon prediction: SD1.5, SDXL.
std::unique_ptr<ModelSampling> make_eps_sampling();
/// The same table with velocity prediction; zero_terminal_snr: rescaled as in arXiv 2305.08891.
std::unique_ptr<ModelSampling> make_v_sampling(bool zero_terminal_snr);
/// Karras et al. 2022 preconditioning over a continuous range, timestep log(sigma) / 4.
std::unique_ptr<ModelSampling> make_edm_sampling(double sigma_min, double sigma_max,
                                                 double sigma_data);
/// Velocity prediction over make_edm_sampling()'s range: CosXL.
std::unique_ptr<ModelSampling> make_edm_v_sampling(double sigma_min, double sigma_max,
                                                   double sigma_data);
/// Rectified flow with a shifted time of 1000 steps, timestep sigma * multiplier: SD3 (3.0, 1000),
/// Lumina 2 (6.0, 1), Z-Image (3.0, 1).
std::unique_ptr<ModelSampling> make_flow_sampling(double shift, double multiplier);
/// Rectified flow with Flux's exponential shift mu, timestep sigma: Flux dev 1.15.
std::unique_ptr<ModelSampling> make_flux_sampling(double mu);

/// True when `first_sigma` is the model's largest (relative 1e-5) or above: the start at full
/// strength, for noise_scaling's max_denoise.
bool is_max_denoise(const ModelSampling& model, double first_sigma);

}  // namespace luna::worker
