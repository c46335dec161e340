#include "tests/support/repetitions.h"

#include <cstdlib>
#include <string_view>

namespace luna::support {

int repetitions(int quick, int thorough) {
  const char* wanted = std::getenv("LUNA_LONG");
  return wanted && std::string_view(wanted) == "1" ? thorough : quick;
}

}  // namespace luna::support
