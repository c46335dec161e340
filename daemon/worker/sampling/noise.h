#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace luna::worker {

/// A row's place in a ComfyUI latent batch: one tensor is drawn for the whole batch, the row is a slice.
struct NoiseRow {
  std::uint64_t seed = 0;
  std::uint32_t batch_size = 1;
  std::uint32_t batch_index = 0;
};

/// The initial noise of rows of shape [C, h, w], stacked: ComfyUI's prepare_noise (CPU mt19937, f32) of
/// [batch_size, C, h, w] per seed, sliced. Rows of one draw share it.
at::Tensor initial_noise(const std::vector<NoiseRow>& rows, at::IntArrayRef chw);

/// Noise drawn during a run, in call order.
class StepNoise {
 public:
  virtual ~StepNoise() = default;
  /// default_noise_sampler: N(0,1), [rows, C, h, w], a new draw every call.
  virtual at::Tensor next() = 0;
  /// BrownianTreeNoiseSampler: the normalised increment between two sigmas; the same pair gives the same
  /// values. `sigma_min`, `sigma_max`: the smallest positive and the largest sigma of the run.
  virtual at::Tensor between(double sigma, double sigma_next) = 0;
};

/// Follows ComfyUI's device rule: on CPU the generator is seeded with seed + 1.
/// `sigmas`: the run's, from which the Brownian tree takes its interval.
std::unique_ptr<StepNoise> make_step_noise(std::vector<NoiseRow> rows, at::IntArrayRef chw, at::Device device,
                                           const std::vector<float>& sigmas);

}  // namespace luna::worker
