#include "common/types/tensor.h"

#include <cstring>

#include <fmt/ranges.h>

namespace luna {

std::int64_t TensorSpec::numel() const {
  std::int64_t n = 1;
  for (std::int64_t extent : shape) n *= extent;
  return n;
}

std::size_t TensorSpec::byte_size() const {
  return static_cast<std::size_t>(numel()) * dtype_size(dtype);
}

std::string TensorSpec::to_string() const {
  return fmt::format("{}[{}]", dtype_name(dtype), fmt::join(shape, ","));
}

Status TensorSpec::validate(std::size_t max_bytes) const {
  if (shape.size() > 8) {
    return error(StatusCode::kInvalidArgument, "a tensor of {} axes; at most 8 are served",
                 shape.size());
  }
  const std::size_t element = dtype_size(dtype);
  if (element == 0) {
    return error(StatusCode::kInvalidArgument, "unknown element type {}", static_cast<int>(dtype));
  }
  unsigned __int128 bytes = element;
  bool empty = false;
  for (std::int64_t extent : shape) {
    if (extent < 0) {
      return error(StatusCode::kInvalidArgument, "negative extent in shape {}", to_string());
    }
    empty = empty || extent == 0;
    if (extent > 0) bytes *= static_cast<unsigned __int128>(extent);
    if (bytes > (static_cast<unsigned __int128>(1) << 100)) break;
  }
  if (!empty && bytes > max_bytes) {
    return error(StatusCode::kInvalidArgument, "tensor {} is larger than the limit of {} bytes",
                 to_string(), max_bytes);
  }
  return {};
}

BytesPtr TensorRef::host_bytes() const {
  const BytesPtr* bytes = std::get_if<BytesPtr>(&place);
  return bytes ? *bytes : nullptr;
}

Status TensorRef::validate(std::string_view what, std::size_t max_bytes) const {
  LUNA_RETURN_IF_ERROR(spec.validate(max_bytes).with_context(what));
  if (BytesPtr bytes = host_bytes(); bytes && bytes->view().size() != spec.byte_size()) {
    return error(StatusCode::kInvalidArgument, "{}: {} needs {} bytes, {} came", what,
                 spec.to_string(), spec.byte_size(), bytes->view().size());
  }
  return {};
}

TensorRef tensor_of(std::vector<std::int64_t> shape, std::span<const float> values) {
  TensorRef tensor{{DType::kF32, std::move(shape)}, bytes_copy_of(std::as_bytes(values))};
  if (tensor.spec.byte_size() != values.size_bytes())
    die("tensor_of: values do not fill the shape");
  return tensor;
}

Result<std::vector<float>> floats_of(const TensorRef& tensor) {
  const BytesPtr bytes = tensor.host_bytes();
  if (tensor.spec.dtype != DType::kF32 || !bytes) {
    return error(StatusCode::kInvalidArgument, "expected an f32 tensor with bytes, found {}{}",
                 tensor.spec.to_string(), bytes ? "" : " without bytes");
  }
  LUNA_RETURN_IF_ERROR(tensor.validate("tensor"));
  std::vector<float> values(static_cast<std::size_t>(tensor.spec.numel()));
  if (!values.empty()) std::memcpy(values.data(), bytes->view().data(), tensor.spec.byte_size());
  return values;
}

}  // namespace luna
