#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace luna::wire {

/// Where in a message the reader is, for sentences such as
/// "rows[3].conditioning['positive'][0].cross_attn: missing". A node of a list that lies on the
/// readers' stack: building one costs nothing, and text is made only when something is wrong. Every
/// node must outlive those made from it, so none can be made from a temporary.
class FieldPath {
 public:
  /// The message itself. `max_inline_bytes` bounds the inline bytes of each tensor below it.
  explicit FieldPath(std::size_t max_inline_bytes = std::numeric_limits<std::size_t>::max())
      : max_inline_bytes_(max_inline_bytes) {}
  FieldPath(const FieldPath&) = delete;
  FieldPath& operator=(const FieldPath&) = delete;

  /// .name
  FieldPath field(std::string_view name) const& { return {*this, name, Kind::kField, 0, {}}; }
  /// .name[index]; [index] with an empty name
  FieldPath item(std::string_view name, std::size_t index) const& {
    return {*this, name, Kind::kItem, index, {}};
  }
  /// .name['key']
  FieldPath entry(std::string_view name, std::string_view key) const& {
    return {*this, name, Kind::kEntry, 0, key};
  }
  FieldPath field(std::string_view) const&& = delete;
  FieldPath item(std::string_view, std::size_t) const&& = delete;
  FieldPath entry(std::string_view, std::string_view) const&& = delete;

  std::size_t max_inline_bytes() const { return max_inline_bytes_; }
  std::string to_string() const;

  /// INVALID_ARGUMENT "path: sentence".
  template <class... Args>
  Status invalid(fmt::format_string<Args...> format, Args&&... args) const {
    return failed(StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
  }
  Status failed(StatusCode code, std::string_view sentence) const;

  /// Fails for NaN and infinities.
  Status check_finite(double value) const;
  /// The number as an int; fails above INT_MAX.
  Result<int> to_int(std::uint32_t value) const;

 private:
  enum class Kind { kRoot, kField, kItem, kEntry };
  FieldPath(const FieldPath& parent, std::string_view name, Kind kind, std::size_t index,
            std::string_view key)
      : parent_(&parent),
        name_(name),
        kind_(kind),
        index_(index),
        key_(key),
        max_inline_bytes_(parent.max_inline_bytes_) {}

  const FieldPath* parent_ = nullptr;
  std::string_view name_;
  Kind kind_ = Kind::kRoot;
  std::size_t index_ = 0;
  std::string_view key_;
  std::size_t max_inline_bytes_;
};

}  // namespace luna::wire
