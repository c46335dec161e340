#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace luna::client {

/// The names of `count` pictures: NAME.png for one, NAME_0.png, NAME_1.png ... for more.
std::vector<std::string> picture_names(const std::string& output, std::size_t count);

/// "luna.png" or the first of "luna-2.png", "luna-3.png" ... none of whose `count` names is taken.
std::string free_output(const std::string& folder, std::size_t count);

/// INVALID_ARGUMENT unless the name ends in .png, NOT_FOUND or PERMISSION_DENIED when its folder
/// cannot be written to: known before the work, not after it.
Status check_output(const std::string& output);

}  // namespace luna::client
