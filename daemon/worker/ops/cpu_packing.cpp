#include "daemon/worker/ops/cpu_packing.h"

#include <ATen/core/dispatch/Dispatcher.h>

namespace luna::worker::ops {
namespace {

bool bf16_is_supported() {
  static const bool supported = [] {
    const auto op =
        c10::Dispatcher::singleton().findSchema({"mkldnn::_is_mkldnn_bf16_supported", ""});
    return op.has_value() && op->typed<bool()>().call();
  }();
  return supported;
}

}  // namespace

bool can_pack(at::Device device, at::ScalarType type) {
  if (!device.is_cpu() || !at::globalContext().userEnabledMkldnn() || !at::hasMKLDNN())
    return false;
  return type == at::kFloat || (type == at::kBFloat16 && bf16_is_supported());
}

bool is_packed(const at::Tensor& weight) { return weight.defined() && weight.is_mkldnn(); }

at::Tensor to_picture_format(const at::Tensor& x) {
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor tokens_of(const at::Tensor& picture) {
  return to_picture_format(picture).permute({0, 2, 3, 1}).flatten(1, 2);
}

at::Tensor picture_of(const at::Tensor& tokens, std::int64_t height, std::int64_t width) {
  return tokens.reshape({tokens.size(0), height, width, tokens.size(2)}).permute({0, 3, 1, 2});
}

}  // namespace luna::worker::ops
