#include "daemon/worker/ops/timestep_embedding.h"

#include <cmath>

namespace luna::worker::ops {

at::Tensor timestep_embedding(const at::Tensor& timestep, std::int64_t width) {
  const std::int64_t half = width / 2;
  const auto options = timestep.options().dtype(at::kFloat);
  const at::Tensor frequencies =
      at::arange(half, options).mul_(-std::log(10000.0)).div_(static_cast<double>(half)).exp_();
  const at::Tensor angles = timestep.to(at::kFloat).unsqueeze(1) * frequencies.unsqueeze(0);
  at::Tensor embedding = at::cat({angles.cos(), angles.sin()}, 1);
  if (width % 2 != 0) embedding = at::constant_pad_nd(embedding, {0, 1});
  return embedding;
}

}  // namespace luna::worker::ops
