#pragma once

#include <ATen/ATen.h>

namespace luna::worker::ops {

/// Sinusoidal embedding [n,width] f32 of timesteps [n] f32 (fractions allowed): the cosines first,
/// then the sines, frequencies exp(-ln(10000) i / half); a zero column when width is odd. Source:
/// Vaswani et al. 2017 as in openai/guided-diffusion timestep_embedding.
at::Tensor timestep_embedding(const at::Tensor& timestep, std::int64_t width);

}  // namespace luna::worker::ops
