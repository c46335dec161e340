#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

namespace luna::worker {

/// The noise process a model was trained on: its table of sigmas and how prediction, state and x0 relate
/// (comfyui-semantics.md 3.4; reference: comfy/model_sampling.py). All maths in f32 as there.
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
  /// The state at `sigma` of a clean latent; max_denoise: sigma is the schedule's start at full strength.
  virtual at::Tensor noise_scaling(double sigma, const at::Tensor& noise, const at::Tensor& latent,
                                   bool max_denoise) const = 0;
  virtual at::Tensor inverse_noise_scaling(double sigma, const at::Tensor& latent) const = 0;
};

/// Scaled-linear betas sqrt(0.00085)..sqrt(0.012), 1000 steps, epsilon prediction: SD1.5, SDXL.
std::unique_ptr<ModelSampling> make_eps_sampling();

}  // namespace luna::worker
