#include "daemon/worker/ops/linear.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker::ops {
namespace {

using Reorder = at::Tensor(const at::Tensor&, std::optional<c10::SymInt>);
using Pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                             std::string_view, c10::List<std::optional<at::Scalar>>,
                             std::optional<std::string_view>);

}  // namespace

bool linear_gains_from_packing(at::Device device, at::ScalarType type) {
  return type == at::kBFloat16 && can_pack(device, type);
}

at::Tensor pack_linear_weight(const at::Tensor& weight, std::int64_t typical_rows) {
  static const auto reorder = c10::Dispatcher::singleton()
                                  .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                                  .typed<Reorder>();
  return reorder.call(weight.contiguous(), c10::SymInt(typical_rows));
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> optional_bias =
      bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  if (!is_packed(weight)) return at::linear(x, weight, optional_bias);
  static const auto run = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                              .typed<Pointwise>();
  return run.call(x.contiguous(), weight, optional_bias, "none",
                  c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

}  // namespace luna::worker::ops
