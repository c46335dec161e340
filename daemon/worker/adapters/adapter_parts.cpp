#include "daemon/worker/adapters/adapter_parts.h"

#include <cmath>

#include <fmt/ranges.h>

namespace luna::worker {

at::Tensor AdapterParts::find(std::string_view part) const {
  const auto found = tensors.find(part);
  return found == tensors.end() ? at::Tensor() : found->second;
}

Status AdapterParts::wrong(const std::string& what) const {
  return error(StatusCode::kInvalidArgument, "layer '{}': {}", layer, what);
}

Result<at::Tensor> AdapterParts::need(std::string_view part) const {
  at::Tensor found = find(part);
  if (found.defined()) return found;
  std::vector<std::string> present;
  for (const auto& [name, tensor] : tensors) present.push_back(name);
  return wrong(
      fmt::format("expected a tensor '{}' beside {}, found none", part, fmt::join(present, ", ")));
}

Result<at::Tensor> AdapterParts::need(std::string_view part, std::int64_t dimensions) const {
  LUNA_ASSIGN_OR_RETURN(at::Tensor found, need(part));
  if (found.dim() >= dimensions && found.numel() > 0) return found;
  return wrong(
      fmt::format("'{}' has the shape [{}]; expected {} dimensions or more, none of them 0", part,
                  fmt::join(found.sizes(), ", "), dimensions));
}

Result<std::optional<double>> AdapterParts::alpha() const {
  const at::Tensor found = find("alpha");
  if (!found.defined()) return std::optional<double>();
  if (found.numel() != 1) {
    return wrong(fmt::format("'alpha' has {} numbers; expected one", found.numel()));
  }
  const double value = found.to(at::kDouble).reshape({1})[0].item<double>();
  if (!std::isfinite(value)) return wrong(fmt::format("'alpha' is {}", value));
  return std::optional(value);
}

Result<double> AdapterParts::alpha_over(std::int64_t rank) const {
  if (scale) return *scale;
  LUNA_ASSIGN_OR_RETURN(const std::optional<double> value, alpha());
  return value ? *value / static_cast<double>(rank) : 1.0;
}

}  // namespace luna::worker
