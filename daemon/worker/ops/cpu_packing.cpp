#include "daemon/worker/ops/cpu_packing.h"

#include <ATen/Version.h>
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
  if (type == at::kFloat) return at::get_cpu_capability() == "AVX512";
  return type == at::kBFloat16 && bf16_is_supported();
}

bool is_packed(const at::Tensor& weight) { return weight.defined() && weight.is_mkldnn(); }

std::uint64_t weight_bytes(const at::Tensor& weight) {
  if (!is_packed(weight)) return weight.nbytes();
  static const auto bytes = c10::Dispatcher::singleton()
                                .findSchemaOrThrow("mkldnn::_nbytes", "")
                                .typed<std::int64_t(const at::Tensor&)>();
  return static_cast<std::uint64_t>(bytes.call(weight));
}

std::uint64_t packed_elements_bound(at::IntArrayRef shape) {
  constexpr std::int64_t kBlock = 64;  // the widest that oneDNN has for weights
  std::uint64_t elements = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool blocked = i < 2 && shape.size() > 1;
    const std::int64_t extent = blocked ? (shape[i] + kBlock - 1) / kBlock * kBlock : shape[i];
    elements *= static_cast<std::uint64_t>(extent);
  }
  return elements;
}

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
