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

/// GPU memory that this process can address, for as long as the object lives; work that was given
/// to the device before its end may still run after it.
class CudaMapping {
 public:
  virtual ~CudaMapping() = default;
  virtual void* data() const = 0;
  /// Index of the CUDA device; -1: host memory (a scripted device of a test).
  virtual int device() const = 0;
};

/// Part of an allocation on a GPU, exported by another process (rules: cuda_handle.h).
struct CudaHandle {
  std::string device_uuid;
  std::string handle;  ///< cudaIpcMemHandle_t, or empty when `descriptor` is the allocation
  std::uint64_t allocation_size = 0;  ///< 0: what the driver says
  std::uint64_t offset = 0;           ///< of the tensor within the allocation, bytes
  std::string event_handle = {};  ///< cudaIpcEventHandle_t to wait for before reading; may be empty
  std::string lease_id = {};      ///< of memory in an outbox of Luna's; "" for the client's own
  std::string region_id = {};     ///< of the region whose descriptor it is
  BytesPtr descriptor = nullptr;  ///< what cuMemExportToShareableHandle made (pass_descriptor)
  std::shared_ptr<const CudaMapping> mapping = nullptr;  ///< in a worker, once it is addressable
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
