#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/ATen.h>

#include "common/base/status.h"

namespace luna::worker {

/// A row's place in a ComfyUI latent batch: one tensor is drawn for the whole batch, the row is a
/// slice.
struct NoiseRow {
  std::uint64_t seed = 0;
  std::uint32_t batch_size = 1;
  std::uint32_t batch_index = 0;
};

/// The initial noise of rows of shape [C, h, w], stacked: ComfyUI's prepare_noise (CPU mt19937,
/// f32) of [batch_size, C, h, w] per seed, sliced. Rows of one draw share it.
at::Tensor initial_noise(const std::vector<NoiseRow>& rows, at::IntArrayRef chw);

/// INVALID_ARGUMENT unless every row's batch_index lies in its batch and the batch has 1..4096
/// entries. The other functions here take this for granted.
Status check_noise_rows(const std::vector<NoiseRow>& rows);

/// Noise drawn during a run, in call order.
class StepNoise {
 public:
  virtual ~StepNoise() = default;
  /// default_noise_sampler: N(0,1), [rows, C, h, w], a new draw every call.
  virtual at::Tensor next() = 0;
  /// BrownianTreeNoiseSampler: the normalised increment between two sigmas; the same pair gives the
  /// same values. `sigma_min`, `sigma_max`: the smallest positive and the largest sigma of the run.
  virtual at::Tensor between(double sigma, double sigma_next) = 0;
  /// The same from a path that is drawn on the run's device, as samplers named *_gpu take it; on
  /// the CPU equal to between().
  virtual at::Tensor between_on_device(double sigma, double sigma_next) = 0;
  /// torch.randn_like without a generator, as s_churn uses it: the stream that drew the initial
  /// noise goes on behind it (on a GPU: the device's own stream of that seed).
  virtual at::Tensor churn() = 0;
};

/// Follows ComfyUI's device rule: on CPU the generator is seeded with seed + 1.
/// `sigmas`: the run's, from which the Brownian trees take their interval. Generators and trees are
/// made when first asked for; the trees keep at most 32 MiB each.
std::unique_ptr<StepNoise> make_step_noise(std::vector<NoiseRow> rows, at::IntArrayRef chw,
                                           at::Device device, const std::vector<float>& sigmas);

}  // namespace luna::worker
