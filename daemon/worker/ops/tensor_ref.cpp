#include "daemon/worker/ops/tensor_ref.h"

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "daemon/worker/ops/scalar_types.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

std::string_view place_name(const TensorRef& tensor) {
  static constexpr std::array<std::string_view, 5> kNames = {
      "nowhere", "on the host", "a resident tensor", "a shared region", "a GPU handle"};
  return kNames[tensor.place.index()];
}

}  // namespace

Result<BytesPtr> make_heap_bytes(std::size_t size,
                                 const std::function<void(std::span<std::byte>)>& fill) {
  return torch_call("making the bytes of a result", [&] {
    std::string data(size, '\0');
    fill(std::as_writable_bytes(std::span(data)));
    return bytes_from(std::move(data));
  });
}

namespace {

/// A view of GPU memory that keeps the mapping alive.
Result<at::Tensor> tensor_over(const CudaHandle& handle, const TensorSpec& spec,
                               std::string_view what) {
  return torch_call(what, [&] {
    const int index = handle.mapping->device();
    const at::Device device = index < 0
                                  ? at::Device(at::kCPU)
                                  : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
    const auto options = at::TensorOptions().dtype(scalar_type_of(spec.dtype)).device(device);
    if (spec.numel() == 0) return at::empty(spec.shape, options);
    return at::for_blob(handle.mapping->data(), spec.shape)
        .deleter([owner = handle.mapping](void*) {})
        .options(options)
        .target_device(device)
        .make_tensor();
  });
}

}  // namespace

Result<at::Tensor> tensor_in_place(const TensorRef& tensor, std::string_view what,
                                   std::size_t max_bytes) {
  if (const auto* handle = std::get_if<CudaHandle>(&tensor.place); handle && handle->mapping) {
    LUNA_RETURN_IF_ERROR(tensor.validate(what, max_bytes));
    return tensor_over(*handle, tensor.spec, what);
  }
  return host_tensor(tensor, what, max_bytes);
}

Result<at::Tensor> host_tensor(const TensorRef& tensor, std::string_view what,
                               std::size_t max_bytes) {
  LUNA_RETURN_IF_ERROR(tensor.validate(what, max_bytes));
  if (const auto* handle = std::get_if<CudaHandle>(&tensor.place); handle && handle->mapping) {
    LUNA_ASSIGN_OR_RETURN(const at::Tensor there, tensor_over(*handle, tensor.spec, what));
    return torch_call(what, [&] { return there.cpu(); });
  }
  const auto options = at::TensorOptions().dtype(scalar_type_of(tensor.spec.dtype));
  if (std::holds_alternative<std::monostate>(tensor.place)) {
    return torch_call(what, [&] { return at::zeros(tensor.spec.shape, options); });
  }
  const BytesPtr bytes = tensor.host_bytes();
  if (!bytes) {
    return error(StatusCode::kFailedPrecondition, "{}: expected bytes on the host, found {}", what,
                 place_name(tensor));
  }
  return torch_call(what, [&]() -> at::Tensor {
    if (tensor.spec.numel() == 0) return at::empty(tensor.spec.shape, options);
    const std::byte* data = bytes->view().data();
    if (reinterpret_cast<std::uintptr_t>(data) % dtype_size(tensor.spec.dtype) != 0) {
      at::Tensor copy = at::empty(tensor.spec.shape, options);
      std::memcpy(copy.data_ptr(), data, tensor.spec.byte_size());
      return copy;
    }
    return at::from_blob(
        const_cast<std::byte*>(data), tensor.spec.shape, [owner = bytes](void*) {}, options);
  });
}

Result<TensorRef> tensor_ref_of(const at::Tensor& tensor, const BytesMaker& make) {
  const std::optional<DType> dtype = dtype_of(tensor.scalar_type());
  if (!dtype) {
    return error(StatusCode::kInternal, "a result of type {} has no name on the wire",
                 at::toString(tensor.scalar_type()));
  }
  auto host = torch_call("copying a result to the host", [&] { return tensor.cpu().contiguous(); });
  LUNA_RETURN_IF_ERROR(host.status());
  TensorSpec spec{*dtype, tensor.sizes().vec()};
  auto bytes = make(spec.byte_size(), [&](std::span<std::byte> target) {
    if (!target.empty()) std::memcpy(target.data(), host->const_data_ptr(), target.size());
  });
  LUNA_RETURN_IF_ERROR(bytes.status());
  return TensorRef{std::move(spec), std::move(bytes).value()};
}

}  // namespace luna::worker
