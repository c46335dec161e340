#pragma once

#include <string>
#include <vector>

#include "client/cli/command.h"

namespace luna::client {

/// All commands and flags; *action is set by parsing. The app keeps references to both.
std::unique_ptr<CLI::App> make_app(const Console& console, Action* action);

/// The `luna` command: `arguments` without the program's name. Returns the exit code.
int run_luna(const std::vector<std::string>& arguments, const Console& console);

}  // namespace luna::client
