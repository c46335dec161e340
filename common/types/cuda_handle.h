#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/types/tensor.h"

namespace luna {

/// Of cudaIpcMemHandle_t and cudaIpcEventHandle_t.
inline constexpr std::size_t kCudaIpcHandleBytes = 64;
/// Of the numbers that prove the plane (ProveCudaRequest).
inline constexpr std::size_t kCudaNonceBytes = 16;

/// The cudaIpcMemHandle_t within what a client has: 64 bytes as the driver made them, or those with
/// the two bytes that PyTorch 2.5 and later put before them (a version, and 'c' for memory of
/// cudaMalloc). INVALID_ARGUMENT for anything else; for memory of PyTorch's expandable segments
/// ('e'), which travels by other means, it says what the client can do.
Result<std::string> plain_ipc_handle(std::string_view handle);

/// Whether `spec` lies within the allocation that the handle names, as far as that can be told
/// without a device: INVALID_ARGUMENT for handles of another length, both or neither of handle and
/// descriptor, an offset that is not a multiple of the element's size, or a tensor that ends beyond
/// allocation_size (where that is given), names both sides.
Status check_cuda_handle(const CudaHandle& handle, const TensorSpec& spec);

/// The same for an allocation whose size is known: of `found` bytes, as the driver says.
Status check_cuda_extent(const CudaHandle& handle, std::uint64_t length, std::uint64_t found);

}  // namespace luna
