#include "common/wire/field_path.h"

namespace luna::wire {

std::string FieldPath::to_string() const {
  if (kind_ == Kind::kRoot) return {};
  std::string text = parent_->to_string();
  if (!text.empty() && !name_.empty()) text += '.';
  text += name_;
  if (kind_ == Kind::kItem) text += fmt::format("[{}]", index_);
  if (kind_ == Kind::kEntry) text += fmt::format("['{}']", key_.substr(0, 64));
  return text;
}

Status FieldPath::failed(StatusCode code, std::string_view sentence) const {
  const std::string path = to_string();
  return Status(code, path.empty() ? std::string(sentence) : fmt::format("{}: {}", path, sentence));
}

Status FieldPath::check_finite(double value) const {
  if (std::isfinite(value)) return {};
  return invalid("expected a finite number, found {}", value);
}

Result<int> FieldPath::to_int(std::uint32_t value) const {
  if (value > static_cast<std::uint32_t>(std::numeric_limits<int>::max())) {
    return invalid("expected at most {}, found {}", std::numeric_limits<int>::max(), value);
  }
  return static_cast<int>(value);
}

}  // namespace luna::wire
