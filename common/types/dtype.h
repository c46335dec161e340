#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace luna {

/// Element types of tensors on the wire and in files. The numbers are part of the wire.
enum class DType : std::uint8_t {
  kF32 = 0,
  kF16 = 1,
  kBF16 = 2,
  kF64 = 3,
  kI64 = 4,
  kI32 = 5,
  kI16 = 6,
  kI8 = 7,
  kU8 = 8,
  kBool = 9,
  kF8E4M3 = 10,
  kF8E5M2 = 11,
};

/// Bytes of one element.
std::size_t dtype_size(DType dtype);
/// "f32", "bf16", "f8_e4m3" and so on.
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace luna
