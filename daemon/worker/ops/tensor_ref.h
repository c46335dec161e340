#pragma once

#include <cstddef>
#include <string_view>

#include <ATen/ATen.h>

#include "common/types/tensor.h"
#include "daemon/worker/ops/bytes_maker.h"

namespace luna::worker {

/// The tensor on the host, in its own type: a view of the bytes that keeps their owner alive when
/// they are aligned, a copy otherwise (also of GPU memory that is mapped); zeros when the reference
/// has no bytes. Never write to it. INVALID_ARGUMENT for a bad spec or size, FAILED_PRECONDITION
/// for bytes that are elsewhere. `what` names it in the message.
Result<at::Tensor> host_tensor(const TensorRef& tensor, std::string_view what,
                               std::size_t max_bytes = std::size_t{1} << 31);

/// The same where it is: GPU memory that is mapped stays on its device, as a view that holds the
/// mapping until the last tensor over it is gone.
Result<at::Tensor> tensor_in_place(const TensorRef& tensor, std::string_view what,
                                   std::size_t max_bytes = std::size_t{1} << 31);

/// Copies `tensor` (any device, any strides) into new bytes.
Result<TensorRef> tensor_ref_of(const at::Tensor& tensor, const BytesMaker& make);

}  // namespace luna::worker
