#include "common/types/role.h"

namespace luna {

std::string_view role_name(Role role) { return kRoleNames.at(static_cast<std::size_t>(role)); }

std::optional<Role> role_from_name(std::string_view name) {
  for (const Role role : kAllRoles) {
    if (role_name(role) == name) return role;
  }
  return std::nullopt;
}

std::optional<Role> role_of(Slot slot) {
  switch (slot) {
    case Slot::kUNet:
    case Slot::kPreview:
      return Role::kUnet;
    case Slot::kVae:
      return Role::kVae;
    case Slot::kClipL:
    case Slot::kClipG:
    case Slot::kT5:
    case Slot::kLlm:
      return Role::kClip;
    case Slot::kVision:
    case Slot::kUpscale:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace luna
