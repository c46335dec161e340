#include "daemon/front/core/random_id.h"

#include <random>

#include <fmt/format.h>

namespace luna::front {

std::string random_id(const std::string& prefix) {
  std::random_device entropy;
  return fmt::format("{}{:08x}{:08x}{:08x}{:08x}", prefix, entropy(), entropy(), entropy(),
                     entropy());
}

}  // namespace luna::front
