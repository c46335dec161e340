#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/types/model.h"

namespace luna {

/// A kind of work that a worker does; the pools of config.toml say which roles live where.
enum class Role : std::uint8_t { kClip = 0, kVae = 1, kUnet = 2 };
inline constexpr std::array kAllRoles = {Role::kClip, Role::kVae, Role::kUnet};
/// In the order of the roles' numbers.
inline constexpr std::array<std::string_view, kAllRoles.size()> kRoleNames = {"clip", "vae",
                                                                              "unet"};

std::string_view role_name(Role role);
std::optional<Role> role_from_name(std::string_view name);
/// The role that works with components of this slot; nullopt for slots that no role serves yet.
std::optional<Role> role_of(Slot slot);

}  // namespace luna
