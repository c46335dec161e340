#pragma once

#include <string>

namespace luna::front {

/// `prefix` and 128 bits of the system's randomness in hex: nobody can guess another's id.
std::string random_id(const std::string& prefix);

}  // namespace luna::front
