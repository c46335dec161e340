#include "daemon/worker/ops/conv2d.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker::ops {
namespace {

using Reorder = at::Tensor(const at::Tensor&, c10::SymIntArrayRef, c10::SymIntArrayRef,
                           c10::SymIntArrayRef, c10::SymInt, at::OptionalSymIntArrayRef);
using Pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                             at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, std::int64_t,
                             std::string_view, c10::List<std::optional<at::Scalar>>,
                             std::optional<std::string_view>);

}  // namespace

at::Tensor pack_conv2d_weight(const at::Tensor& weight, const Conv2dGeometry& geometry,
                              const std::array<std::int64_t, 4>& typical_input) {
  static const auto reorder = c10::Dispatcher::singleton()
                                  .findSchemaOrThrow("mkldnn::_reorder_convolution_weight", "")
                                  .typed<Reorder>();
  const std::array<c10::SymInt, 2> padding = {geometry.padding, geometry.padding};
  const std::array<c10::SymInt, 2> stride = {geometry.stride, geometry.stride};
  const std::array<c10::SymInt, 2> dilation = {1, 1};
  const std::array<c10::SymInt, 4> input = {typical_input[0], typical_input[1], typical_input[2],
                                            typical_input[3]};
  return reorder.call(weight.contiguous(), padding, stride, dilation, 1,
                      c10::SymIntArrayRef(input.data(), input.size()));
}

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const Conv2dGeometry& geometry) {
  const std::array<std::int64_t, 2> padding = {geometry.padding, geometry.padding};
  const std::array<std::int64_t, 2> stride = {geometry.stride, geometry.stride};
  const std::array<std::int64_t, 2> dilation = {1, 1};
  const std::optional<at::Tensor> optional_bias =
      bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  if (!is_packed(weight))
    return at::conv2d(to_picture_format(x), weight, optional_bias, stride, padding, dilation);
  static const auto run = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("mkldnn::_convolution_pointwise", "")
                              .typed<Pointwise>();
  return run.call(to_picture_format(x), weight, optional_bias, padding, stride, dilation, 1, "none",
                  c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

}  // namespace luna::worker::ops
