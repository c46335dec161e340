#include "common/types/cuda_handle.h"

namespace luna {
namespace {

// PyTorch's prefix: a version (2 until torch 2.12, 3 since, with the same content after 'c'), and
// the kind of memory.
constexpr std::size_t kPrefixBytes = 2;
constexpr char kCudaMalloc = 'c';
constexpr char kExpandableSegment = 'e';

}  // namespace

Result<std::string> plain_ipc_handle(std::string_view handle) {
  if (handle.size() == kCudaIpcHandleBytes) return std::string(handle);
  if (handle.size() > kPrefixBytes && handle[1] == kExpandableSegment) {
    return error(StatusCode::kInvalidArgument,
                 "a handle of PyTorch's expandable segments, which only PyTorch can open: copy the "
                 "tensor into memory that Tensors.Allocate gives, or start the client with "
                 "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False");
  }
  if (handle.size() == kPrefixBytes + kCudaIpcHandleBytes && handle[1] == kCudaMalloc) {
    return std::string(handle.substr(kPrefixBytes));
  }
  return error(
      StatusCode::kInvalidArgument,
      "expected a cudaIpcMemHandle_t of {} bytes (with PyTorch's prefix {}), found {} bytes",
      kCudaIpcHandleBytes, kPrefixBytes + kCudaIpcHandleBytes, handle.size());
}

Status check_cuda_extent(const CudaHandle& handle, std::uint64_t length, std::uint64_t found) {
  if (handle.allocation_size > found) {
    return error(StatusCode::kInvalidArgument,
                 "the handle says an allocation of {} bytes, the driver says {}",
                 handle.allocation_size, found);
  }
  if (handle.offset > found || length > found - handle.offset) {
    return error(StatusCode::kInvalidArgument,
                 "{} bytes from offset {} do not lie within an allocation of {} bytes", length,
                 handle.offset, found);
  }
  return {};
}

Status check_cuda_handle(const CudaHandle& handle, const TensorSpec& spec) {
  LUNA_RETURN_IF_ERROR(spec.validate());
  if (handle.handle.empty() == (handle.descriptor == nullptr)) {
    return error(StatusCode::kInvalidArgument,
                 "expected a cudaIpcMemHandle_t or a registered region, found {}",
                 handle.handle.empty() ? "neither" : "both");
  }
  if (!handle.handle.empty() && handle.handle.size() != kCudaIpcHandleBytes) {
    return error(StatusCode::kInvalidArgument,
                 "expected a cudaIpcMemHandle_t of {} bytes, found {} bytes", kCudaIpcHandleBytes,
                 handle.handle.size());
  }
  if (!handle.event_handle.empty() && handle.event_handle.size() != kCudaIpcHandleBytes) {
    return error(StatusCode::kInvalidArgument,
                 "expected a cudaIpcEventHandle_t of {} bytes or none, found {} bytes",
                 kCudaIpcHandleBytes, handle.event_handle.size());
  }
  const std::size_t element = dtype_size(spec.dtype);
  if (handle.offset % element != 0) {
    return error(StatusCode::kInvalidArgument,
                 "offset {} is no multiple of {}, the size of an element of {}", handle.offset,
                 element, spec.to_string());
  }
  if (handle.allocation_size == 0) return {};
  return check_cuda_extent(handle, spec.byte_size(), handle.allocation_size);
}

}  // namespace luna
