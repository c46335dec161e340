#pragma once

#include <cstdint>
#include <string>

#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {

/// A matrix that LyCORIS' adapters keep as a product: a·b, or a kernel [p, r, h, w] as a core
/// [i, j, h, w] between a [i, p] and b [j, r] (Tucker form).
struct Factor {
  at::Tensor a, b, core;

  /// Reads "<name>_a", "<name>_b" and, when `core` is not empty, that part if there is one.
  /// INVALID_ARGUMENT when they do not belong together.
  static Result<Factor> from(const AdapterParts& parts, const std::string& name,
                             const std::string& core);
  std::int64_t rank() const { return b.size(0); }
  std::int64_t rows() const { return core.defined() ? a.size(1) : a.size(0); }
  std::int64_t numel() const;
  /// In f32 on the device of `like`.
  at::Tensor product(const at::Tensor& like) const;
  std::uint64_t bytes() const;
};

}  // namespace luna::worker
