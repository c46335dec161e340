#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/types/dtype.h"

namespace luna {

/// Type and shape; row-major and contiguous wherever bytes exist. An empty shape is a scalar.
struct TensorSpec {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;

  /// Product of the shape. Call validate() first on anything that came from outside.
  std::int64_t numel() const;
  /// numel() times the element size.
  std::size_t byte_size() const;
  /// "f32[2,4,64,64]".
  std::string to_string() const;
  /// INVALID_ARGUMENT for negative extents, more than 8 axes, or more than `max_bytes` in all.
  Status validate(std::size_t max_bytes = std::size_t{1} << 40) const;

  bool operator==(const TensorSpec&) const = default;
};

/// A tensor that stays on the server; owned by a session within its workflow. The id is opaque.
struct ResidentTensor {
  std::string id;
  bool operator==(const ResidentTensor&) const = default;
};

/// Part of a shared-memory region that this client registered or was given.
struct SharedRegion {
  std::string region_id;
  std::uint64_t offset = 0;
  bool operator==(const SharedRegion&) const = default;
};

/// Part of an allocation on a GPU, exported by another process.
struct CudaHandle {
  std::string device_uuid;
  std::string handle;  ///< cudaIpcMemHandle_t, or empty when a descriptor was passed beside it
  std::uint64_t allocation_size = 0;
  std::uint64_t offset = 0;  ///< of the tensor within the allocation, bytes
  std::string event_handle;  ///< cudaIpcEventHandle_t to wait for before reading; may be empty
  bool operator==(const CudaHandle&) const = default;
};

/// A tensor, wherever its bytes are (architecture.md, idea 4). std::monostate: no bytes, all zeros
/// (an empty latent needs none on the wire).
struct TensorRef {
  TensorSpec spec;
  std::variant<std::monostate, BytesPtr, ResidentTensor, SharedRegion, CudaHandle> place;

  /// The bytes when they are on the host, nullptr otherwise.
  BytesPtr host_bytes() const;
  /// INVALID_ARGUMENT when the spec is invalid or host bytes have another size than it says.
  /// `what` names the tensor in the message.
  Status validate(std::string_view what, std::size_t max_bytes = std::size_t{1} << 32) const;
};

/// A host tensor holding a copy of `values`.
TensorRef tensor_of(std::vector<std::int64_t> shape, std::span<const float> values);
/// The values of a host f32 tensor. INVALID_ARGUMENT for any other.
Result<std::vector<float>> floats_of(const TensorRef& tensor);

}  // namespace luna
