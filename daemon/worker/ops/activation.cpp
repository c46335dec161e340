#include "daemon/worker/ops/activation.h"

namespace luna::worker::ops {

at::Tensor geglu(const at::Tensor& x) {
  const std::int64_t half = x.size(-1) / 2;
  return at::gelu(x.narrow(-1, half, half)).mul_(x.narrow(-1, 0, half));
}

at::Tensor quick_gelu(const at::Tensor& x) { return at::mul(x, 1.702).sigmoid_().mul_(x); }

at::Tensor gelu(const at::Tensor& x) { return at::gelu(x); }

}  // namespace luna::worker::ops
