#pragma once

#include <string_view>

namespace luna {

/// Version of the daemon and of the library; the project() line of CMakeLists.txt says the same.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace luna
