#pragma once

#include <string>

namespace luna {

/// Tells hosts apart: the kernel's boot id; "" where the system has none. Containers of one machine
/// have the same.
std::string host_id();

}  // namespace luna
