#pragma once

#include <variant>

#include "common/config/config.h"
#include "daemon/front/exit_code.h"

namespace luna::front {

/// What the command line asks for: a daemon with this configuration (file and options together,
/// paths filled in), or nothing more than the exit code, since everything was printed.
std::variant<Config, ExitCode> read_command_line(int argc, const char* const* argv);

}  // namespace luna::front
