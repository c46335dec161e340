#include "daemon/worker/ops/scalar_types.h"

#include <array>
#include <utility>

#include "common/base/status.h"

namespace luna::worker {
namespace {

constexpr std::array<std::pair<DType, at::ScalarType>, 12> kPairs = {{
    {DType::kF32, at::kFloat},
    {DType::kF16, at::kHalf},
    {DType::kBF16, at::kBFloat16},
    {DType::kF64, at::kDouble},
    {DType::kI64, at::kLong},
    {DType::kI32, at::kInt},
    {DType::kI16, at::kShort},
    {DType::kI8, at::kChar},
    {DType::kU8, at::kByte},
    {DType::kBool, at::kBool},
    {DType::kF8E4M3, at::kFloat8_e4m3fn},
    {DType::kF8E5M2, at::kFloat8_e5m2},
}};

}  // namespace

at::ScalarType scalar_type_of(DType dtype) {
  for (const auto& [ours, theirs] : kPairs) {
    if (ours == dtype) return theirs;
  }
  die("a DType that is none of the enumerators");
}

std::optional<DType> dtype_of(at::ScalarType type) {
  for (const auto& [ours, theirs] : kPairs) {
    if (theirs == type) return ours;
  }
  return std::nullopt;
}

}  // namespace luna::worker
