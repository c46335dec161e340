#include "daemon/front/core/tensor_rules.h"

#include "common/types/cuda_handle.h"

namespace luna::front {
namespace {

constexpr std::int64_t kMaxChannels = 4096;
constexpr std::int64_t kMaxTokens = 65536;
constexpr std::int64_t kMaxWidth = 65536;

}  // namespace

bool is_floating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kF64;
}

Status TensorRules::place(const TensorRef& tensor, const std::string& name) const {
  if (std::holds_alternative<ResidentTensor>(tensor.place)) return {};
  if (std::holds_alternative<SharedRegion>(tensor.place)) {
    return tensor.spec.validate(limits_.region_bytes_per_session).with_context(name);
  }
  if (const auto* handle = std::get_if<CudaHandle>(&tensor.place)) {
    return check_cuda_handle(*handle, tensor.spec).with_context(name);
  }
  LUNA_RETURN_IF_ERROR(tensor.validate(name));
  if (tensor.host_bytes() && tensor.spec.byte_size() > limits_.inline_bytes) {
    return error(StatusCode::kInvalidArgument,
                 "{}: {} has {} bytes; more than {} do not travel inside a call: upload the tensor "
                 "and name it",
                 name, tensor.spec.to_string(), tensor.spec.byte_size(), limits_.inline_bytes);
  }
  return {};
}

Status TensorRules::shape(const TensorRef& tensor, const std::string& name, bool fits,
                          std::string_view expected) const {
  if (fits) return {};
  return error(StatusCode::kInvalidArgument, "{}: expected {}, found {}", name, expected,
               tensor.spec.to_string());
}

Status TensorRules::latent(const TensorRef& tensor, const std::string& name) const {
  const auto& s = tensor.spec.shape;
  const bool fits = is_floating(tensor.spec.dtype) && s.size() == 3 && extent(s[0], kMaxChannels) &&
                    extent(s[1], edge()) && extent(s[2], edge());
  return shape(tensor, name, fits,
               fmt::format("a floating [C, h, w] with edges of 1 to {}", edge()));
}

Status TensorRules::latent_batch(const TensorRef& tensor, const std::string& name) const {
  const auto& s = tensor.spec.shape;
  const bool fits = is_floating(tensor.spec.dtype) && s.size() == 4 && extent(s[0], rows()) &&
                    extent(s[1], kMaxChannels) && extent(s[2], edge()) && extent(s[3], edge());
  return shape(tensor, name, fits,
               fmt::format("a floating [B, C, h, w] with B of 1 to {} and edges of 1 to {}", rows(),
                           edge()));
}

Status TensorRules::pixels(const TensorRef& tensor, const std::string& name) const {
  const auto& s = tensor.spec.shape;
  const bool type = tensor.spec.dtype == DType::kF32 || tensor.spec.dtype == DType::kU8;
  const bool fits = type && s.size() == 4 && extent(s[0], rows()) && extent(s[1], edge()) &&
                    extent(s[2], edge()) && s[3] >= 3 && s[3] <= kMaxChannels;
  return shape(
      tensor, name, fits,
      fmt::format("[B, H, W, 3 or more] as f32 or u8 with B of 1 to {} and edges of 1 to {}",
                  rows(), edge()));
}

Status TensorRules::mask(const TensorRef& tensor, const std::string& name,
                         std::int64_t max_count) const {
  const auto& s = tensor.spec.shape;
  const bool type = is_floating(tensor.spec.dtype) || tensor.spec.dtype == DType::kU8;
  const bool flat = s.size() == 2 && extent(s[0], edge()) && extent(s[1], edge());
  const bool stacked =
      s.size() == 3 && extent(s[0], max_count) && extent(s[1], edge()) && extent(s[2], edge());
  return shape(tensor, name, type && (flat || stacked),
               fmt::format("a mask [H, W] or [n, H, W] with n of 1 to {} and edges of 1 to {}",
                           max_count, edge()));
}

Status TensorRules::context(const TensorRef& tensor, const std::string& name) const {
  const auto& s = tensor.spec.shape;
  const bool fits = is_floating(tensor.spec.dtype) && s.size() == 3 && s[0] == 1 &&
                    extent(s[1], kMaxTokens) && extent(s[2], kMaxWidth);
  return shape(tensor, name, fits, "a floating [1, tokens, width]");
}

Status TensorRules::concat(const TensorRef& tensor, const std::string& name,
                           const TensorSpec& latent) const {
  const auto& s = tensor.spec.shape;
  const std::int64_t height = latent.shape.at(1), width = latent.shape.at(2);
  const bool fits = is_floating(tensor.spec.dtype) && s.size() == 4 && s[0] == 1 &&
                    extent(s[1], kMaxChannels) && s[2] == height && s[3] == width;
  return shape(tensor, name, fits, fmt::format("a floating [1, c, {}, {}]", height, width));
}

Status TensorRules::row(const TensorRef& tensor, const std::string& name, bool floating) const {
  const auto& s = tensor.spec.shape;
  const bool fits = (!floating || is_floating(tensor.spec.dtype)) && s.size() == 2 && s[0] == 1 &&
                    extent(s[1], kMaxWidth);
  return shape(tensor, name, fits, floating ? "a floating [1, width]" : "[1, tokens]");
}

}  // namespace luna::front
