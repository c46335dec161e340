#include "daemon/front/core/worker_end.h"

#include <fmt/format.h>

namespace luna::front {

std::string_view worker_end_name(WorkerEnd::Kind kind) {
  switch (kind) {
    case WorkerEnd::Kind::kCrash:
      return "crash";
    case WorkerEnd::Kind::kOutOfMemory:
      return "out of memory";
    case WorkerEnd::Kind::kHang:
      return "hang";
    case WorkerEnd::Kind::kFromOutside:
      return "killed from outside";
    case WorkerEnd::Kind::kAsked:
      return "asked to end";
  }
  return "unknown";
}

std::string WorkerEnd::in_words() const {
  return fmt::format("{}: {}", worker_end_name(kind), how);
}

}  // namespace luna::front
