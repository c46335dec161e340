#pragma once

#include <string>

#include "common/base/status.h"
#include "common/config/config.h"
#include "common/types/tensor.h"

namespace luna::front {

/// Rules for shapes of single tensors, each INVALID_ARGUMENT with the field's name, what was
/// expected and what was found. Extents are bounded so that no later product can overflow.
class TensorRules {
 public:
  explicit TensorRules(const Config::Limits& limits) : limits_(limits) {}

  /// Size, place and agreement of bytes with the spec; of CUDA handles what can be told without a
  /// device. The spec beside a resident tensor's id is not looked at, and where a region's bytes
  /// are, neither.
  Status place(const TensorRef& tensor, const std::string& name) const;
  /// [C, h, w] floating.
  Status latent(const TensorRef& tensor, const std::string& name) const;
  /// [B, C, h, w] floating.
  Status latent_batch(const TensorRef& tensor, const std::string& name) const;
  /// [B, H, W, C >= 3], f32 or u8.
  Status pixels(const TensorRef& tensor, const std::string& name) const;
  /// [H, W] or [n, H, W] floating or u8, n <= max_count.
  Status mask(const TensorRef& tensor, const std::string& name, std::int64_t max_count) const;
  /// [1, tokens, width] floating.
  Status context(const TensorRef& tensor, const std::string& name) const;
  /// [1, c, h, w] floating, h and w those of a latent [C, h, w].
  Status concat(const TensorRef& tensor, const std::string& name, const TensorSpec& latent) const;
  /// [1, width].
  Status row(const TensorRef& tensor, const std::string& name, bool floating) const;

 private:
  Status shape(const TensorRef& tensor, const std::string& name, bool fits,
               std::string_view expected) const;
  bool extent(std::int64_t value, std::int64_t max) const { return value >= 1 && value <= max; }
  std::int64_t edge() const { return limits_.max_pixels_edge; }
  std::int64_t rows() const { return limits_.rows_per_call; }

  const Config::Limits& limits_;
};

/// f64, f32, f16 or bf16.
bool is_floating(DType dtype);

}  // namespace luna::front
