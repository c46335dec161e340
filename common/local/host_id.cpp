#include "common/local/host_id.h"

#include <fstream>

namespace luna {

std::string host_id() {
  std::string id;
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::getline(file, id);
  return id;
}

}  // namespace luna
