#pragma once

#include <cstddef>
#include <string_view>

namespace luna::ipc {

/// "FrontToWorkerRun" for the number (the index in Message); "unknown message" beyond the last.
std::string_view message_name(std::size_t number);

}  // namespace luna::ipc
