#include "daemon/worker/ops/finite.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace luna::worker::ops {
namespace {

constexpr std::uint32_t kExponent = 0x7f800000;  ///< all ones: infinity or NaN
/// As many values are looked at before the answer is asked for.
constexpr std::int64_t kBlock = 4096;

bool is_plain(const at::Tensor& tensor) {
  return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous();
}

bool finite(const float* values, std::int64_t count) {
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t end = std::min(begin + kBlock, count);
    std::uint32_t bad = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, values + i, sizeof(bits));
      bad |= static_cast<std::uint32_t>((bits & kExponent) == kExponent);
    }
    if (bad != 0) return false;
  }
  return true;
}

}  // namespace

at::Tensor finite_rows(const at::Tensor& rows) {
  if (!is_plain(rows) || rows.size(0) == 0) return rows.isfinite().flatten(1).all(1);
  at::Tensor flags = at::empty({rows.size(0)}, at::kBool);
  bool* flag = flags.mutable_data_ptr<bool>();
  const std::int64_t count = rows.numel() / rows.size(0);
  const float* values = rows.const_data_ptr<float>();
  for (std::int64_t i = 0; i < rows.size(0); ++i) flag[i] = finite(values + i * count, count);
  return flags;
}

bool all_finite(const at::Tensor& tensor) {
  if (is_plain(tensor)) return finite(tensor.const_data_ptr<float>(), tensor.numel());
  return tensor.isfinite().all().item<bool>();
}

}  // namespace luna::worker::ops
