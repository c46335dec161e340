#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace luna {

/// Replaces a leading "~" or "~/" by $HOME and every ${NAME} by the environment's value.
/// INVALID_ARGUMENT for a variable that is not set, or a "${" without its "}".
Result<std::string> expand_path(const std::string& path);

/// Where lunad looks for its configuration, first to last: $LUNA_CONFIG, ./config.toml (when it
/// belongs to this user or to root), ~/.config/luna/config.toml, /etc/luna/config.toml.
std::vector<std::string> config_search_path();

/// `named` (--config) when it is not empty, else the first of the search path that exists; nullopt:
/// none, take the defaults. A file that was named, by option or by $LUNA_CONFIG, and is not there
/// is NOT_FOUND.
Result<std::optional<std::string>> find_config(const std::string& named);

}  // namespace luna
